-- GoogleSQL's functions where DuckDB's own of that name, or operator, differs: another type of the
-- result, errors instead of infinities and NULLs, strict forms of texts.
-- A macro is chosen by the types of its arguments. No overload fits: "not supported" (501).
-- A lambda's parameter whose members are named begins with a mark that no name of a query may have:
-- a table of the same name would hide it.
-- An error is a cast that fails: error() counts as volatile, which TRY and PARTITION BY refuse.

CREATE OR REPLACE MACRO bq_fail(message) AS CAST('bq: ' || message AS INTEGER);
CREATE OR REPLACE MACRO bq_unsupported(message) AS CAST('bq501: ' || message AS INTEGER);

-- Columns like STRING(10) and NUMERIC(10, 2), whose values are rounded.
CREATE OR REPLACE MACRO bq_too_long(name, most, length) AS bq_fail(
  name || ' has maximum length ' || most || ' but got a value with length ' || length);
CREATE OR REPLACE MACRO bq_max_length
  (x VARCHAR, most BIGINT, name VARCHAR) AS CASE
    WHEN length(x) > most THEN CAST(bq_too_long(name, most, length(x)) AS VARCHAR) ELSE x END,
  (x BLOB, most BIGINT, name VARCHAR) AS CASE
    WHEN octet_length(x) > most
    THEN encode(CAST(bq_too_long(name, most, octet_length(x)) AS VARCHAR)) ELSE x END;

-- From the year 1 to the year 9999.
CREATE OR REPLACE MACRO bq_range
  (x DATE) AS CASE
    WHEN x < DATE '0001-01-01' OR x > DATE '9999-12-31'
    THEN DATE '1970-01-01' + bq_fail('Date value out of range') ELSE x END,
  (x TIMESTAMP) AS CASE
    WHEN x < TIMESTAMP '0001-01-01' OR x >= TIMESTAMP '10000-01-01'
    THEN make_timestamp(CAST(bq_fail('Datetime value out of range') AS BIGINT)) ELSE x END,
  (x TIMESTAMP WITH TIME ZONE) AS CASE
    WHEN x < TIMESTAMPTZ '0001-01-01 00:00:00+00' OR x >= TIMESTAMPTZ '10000-01-01 00:00:00+00'
    THEN make_timestamp(CAST(bq_fail('Timestamp value out of range') AS BIGINT)) AT TIME ZONE 'UTC'
    ELSE x END;

-- Casts

CREATE OR REPLACE MACRO bq_is_int(s) AS
  regexp_full_match(s, '\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*');
CREATE OR REPLACE MACRO bq_is_float(s) AS
  regexp_full_match(s, '\s*[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|(?i:inf|infinity|nan))\s*');
CREATE OR REPLACE MACRO bq_is_numeric(s) AS
  regexp_full_match(s, '\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*');
CREATE OR REPLACE MACRO bq_is_date(s) AS regexp_full_match(s, '([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-[0-9]{1,2}-[0-9]{1,2}');
CREATE OR REPLACE MACRO bq_is_time(s) AS
  regexp_full_match(s, '([01]?[0-9]|2[0-3]):[0-5]?[0-9]:[0-5]?[0-9](\.[0-9]{0,6})?');
CREATE OR REPLACE MACRO bq_is_datetime(s) AS regexp_full_match(s,
  '\s*([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-[0-9]{1,2}-[0-9]{1,2}([ Tt]([01]?[0-9]|2[0-3]):[0-5]?[0-9]:[0-5]?[0-9](\.[0-9]{0,6})?)?\s*');
CREATE OR REPLACE MACRO bq_is_timestamp(s) AS regexp_full_match(s,
  '\s*([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-[0-9]{1,2}-[0-9]{1,2}([ Tt]([01]?[0-9]|2[0-3]):[0-5]?[0-9]:[0-5]?[0-9](\.[0-9]{0,6})?)?( ?([Zz]|[+-]((0?[0-9]|1[0-3])(:?[0-5][0-9])?|14(:?00)?))| (UTC|[A-Za-z_]+(/[A-Za-z_]+)+))?\s*');

-- DuckDB's cast takes no sign before 0x.
CREATE OR REPLACE MACRO bq_whole(s) AS CASE
  WHEN regexp_matches(s, '[xX]') THEN CAST(
    CAST(regexp_replace(s, '[\s+-]', '', 'g') AS HUGEINT)
    * CASE WHEN contains(s, '-') THEN -1 ELSE 1 END AS BIGINT)
  ELSE CAST(s AS BIGINT) END;
CREATE OR REPLACE MACRO bq_int64
  (x BIGINT) AS x,
  (x HUGEINT) AS CAST(x AS BIGINT),
  (x BOOLEAN) AS CAST(x AS BIGINT),
  (x DOUBLE) AS CAST(round(x) AS BIGINT),
  (x DECIMAL(38, 9)) AS CAST(round(x) AS BIGINT),
  (x VARCHAR) AS CASE
    WHEN bq_is_int(x) THEN bq_whole(x) ELSE bq_fail('Bad int64 value: ' || x) END;
CREATE OR REPLACE MACRO bq_safe_int64
  (x BIGINT) AS x,
  (x HUGEINT) AS TRY_CAST(x AS BIGINT),
  (x BOOLEAN) AS CAST(x AS BIGINT),
  (x DOUBLE) AS TRY_CAST(round(x) AS BIGINT),
  (x DECIMAL(38, 9)) AS TRY_CAST(round(x) AS BIGINT),
  (x VARCHAR) AS CASE WHEN bq_is_int(x) THEN TRY(bq_whole(x)) END;

CREATE OR REPLACE MACRO bq_float64
  (x BIGINT) AS CAST(x AS DOUBLE),
  (x HUGEINT) AS CAST(x AS DOUBLE),
  (x DOUBLE) AS x,
  (x DECIMAL(38, 9)) AS CAST(x AS DOUBLE),
  (x VARCHAR) AS CASE
    WHEN bq_is_float(x) THEN CAST(x AS DOUBLE) ELSE bq_fail('Bad double value: ' || x) END;
CREATE OR REPLACE MACRO bq_safe_float64
  (x BIGINT) AS CAST(x AS DOUBLE),
  (x HUGEINT) AS CAST(x AS DOUBLE),
  (x DOUBLE) AS x,
  (x DECIMAL(38, 9)) AS CAST(x AS DOUBLE),
  (x VARCHAR) AS CASE WHEN bq_is_float(x) THEN TRY_CAST(x AS DOUBLE) END;

CREATE OR REPLACE MACRO bq_numeric
  (x BIGINT) AS CAST(x AS DECIMAL(38, 9)),
  (x HUGEINT) AS CAST(x AS DECIMAL(38, 9)),
  (x DECIMAL(38, 9)) AS x,
  (x DOUBLE) AS CAST(x AS DECIMAL(38, 9)),
  (x VARCHAR) AS CASE WHEN bq_is_numeric(x) THEN CAST(x AS DECIMAL(38, 9))
    ELSE bq_fail('Invalid NUMERIC value: ' || x) END;
CREATE OR REPLACE MACRO bq_safe_numeric
  (x BIGINT) AS CAST(x AS DECIMAL(38, 9)),
  (x HUGEINT) AS TRY_CAST(x AS DECIMAL(38, 9)),
  (x DECIMAL(38, 9)) AS x,
  (x DOUBLE) AS TRY_CAST(x AS DECIMAL(38, 9)),
  (x VARCHAR) AS CASE WHEN bq_is_numeric(x) THEN TRY_CAST(x AS DECIMAL(38, 9)) END;

CREATE OR REPLACE MACRO bq_bool
  (x BOOLEAN) AS x,
  (x BIGINT) AS x <> 0,
  (x VARCHAR) AS CASE lower(x) WHEN 'true' THEN true WHEN 'false' THEN false
    ELSE CASE WHEN x IS NOT NULL THEN CAST(bq_fail('Bad bool value: ' || x) AS BOOLEAN) END END;
CREATE OR REPLACE MACRO bq_safe_bool
  (x BOOLEAN) AS x,
  (x BIGINT) AS x <> 0,
  (x VARCHAR) AS CASE lower(x) WHEN 'true' THEN true WHEN 'false' THEN false END;

-- What CSV files may say for a truth value.
CREATE OR REPLACE MACRO bq_csv_bool(x) AS CASE
  WHEN lower(x) IN ('1', 't', 'true', 'y', 'yes') THEN true
  WHEN lower(x) IN ('0', 'f', 'false', 'n', 'no') THEN false END;

-- Fractions of seconds have 3 or 6 digits, or are left out.
CREATE OR REPLACE MACRO bq_fraction(micros) AS CASE
  WHEN micros % 1000000 = 0 THEN ''
  WHEN micros % 1000 = 0 THEN printf('.%03d', (micros % 1000000) // 1000)
  ELSE printf('.%06d', micros % 1000000) END;
-- 15 digits if they are enough to read the same number from, else 17.
CREATE OR REPLACE MACRO bq_float_text(x) AS CASE
  WHEN isnan(x) THEN 'nan'
  WHEN isinf(x) THEN CASE WHEN x > 0 THEN 'inf' ELSE '-inf' END
  WHEN x = 0 THEN '0'
  WHEN CAST(printf('%.15g', x) AS DOUBLE) = x THEN printf('%.15g', x)
  ELSE printf('%.17g', x) END;
CREATE OR REPLACE MACRO bq_string
  (x VARCHAR) AS x,
  (x BIGINT) AS CAST(x AS VARCHAR),
  (x HUGEINT) AS CAST(x AS VARCHAR),
  (x BOOLEAN) AS CAST(x AS VARCHAR),
  (x DOUBLE) AS bq_float_text(x),
  (x DECIMAL(38, 9)) AS rtrim(rtrim(CAST(x AS VARCHAR), '0'), '.'),
  (x BLOB) AS decode(x),
  (x DATE) AS strftime(x, '%Y-%m-%d'),
  (x TIME) AS left(CAST(x AS VARCHAR), 8) || bq_fraction(extract(microsecond FROM x)),
  (x TIMESTAMP) AS strftime(x, '%Y-%m-%d %H:%M:%S') || bq_fraction(extract(microsecond FROM x)),
  (x TIMESTAMP WITH TIME ZONE) AS strftime(x AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S')
    || bq_fraction(extract(microsecond FROM x)) || '+00';

CREATE OR REPLACE MACRO bq_string_of
  (x DATE) AS bq_string(x),
  (x TIME) AS bq_string(x),
  (x TIMESTAMP) AS bq_string(x),
  (x TIMESTAMP WITH TIME ZONE) AS bq_string(x);

CREATE OR REPLACE MACRO bq_bytes(x BLOB) AS x, (x VARCHAR) AS encode(x);

CREATE OR REPLACE MACRO bq_date
  (x DATE) AS x,
  (x TIMESTAMP) AS CAST(x AS DATE),
  (x TIMESTAMP WITH TIME ZONE) AS CAST(x AT TIME ZONE 'UTC' AS DATE),
  (x VARCHAR) AS CASE WHEN bq_is_date(x) THEN CAST(x AS DATE)
    ELSE DATE '1970-01-01' + bq_fail('Invalid date: ''' || x || '''') END;
CREATE OR REPLACE MACRO bq_safe_date
  (x DATE) AS x,
  (x TIMESTAMP) AS CAST(x AS DATE),
  (x TIMESTAMP WITH TIME ZONE) AS CAST(x AT TIME ZONE 'UTC' AS DATE),
  (x VARCHAR) AS CASE WHEN bq_is_date(x) THEN TRY_CAST(x AS DATE) END;

-- DuckDB takes no small t between date and time, and no small z; a time zone's name may have them.
CREATE OR REPLACE MACRO bq_big_t(x) AS
  regexp_replace(regexp_replace(x, '([0-9])t', '\1T'), '([0-9.] ?)z', '\1Z');
CREATE OR REPLACE MACRO bq_datetime
  (x DATE) AS CAST(x AS TIMESTAMP),
  (x TIMESTAMP) AS x,
  (x TIMESTAMP WITH TIME ZONE) AS x AT TIME ZONE 'UTC',
  (x VARCHAR) AS CASE WHEN bq_is_datetime(x) THEN CAST(bq_big_t(x) AS TIMESTAMP)
    ELSE make_timestamp(CAST(bq_fail('Invalid datetime string "' || x || '"') AS BIGINT)) END;
CREATE OR REPLACE MACRO bq_safe_datetime
  (x DATE) AS CAST(x AS TIMESTAMP),
  (x TIMESTAMP) AS x,
  (x TIMESTAMP WITH TIME ZONE) AS x AT TIME ZONE 'UTC',
  (x VARCHAR) AS CASE WHEN bq_is_datetime(x) THEN TRY_CAST(bq_big_t(x) AS TIMESTAMP) END;

CREATE OR REPLACE MACRO bq_timestamp
  (x DATE) AS CAST(x AS TIMESTAMP) AT TIME ZONE 'UTC',
  (x TIMESTAMP) AS x AT TIME ZONE 'UTC',
  (x TIMESTAMP WITH TIME ZONE) AS x,
  (x VARCHAR) AS CASE WHEN bq_is_timestamp(x) THEN CAST(bq_big_t(x) AS TIMESTAMP WITH TIME ZONE)
    ELSE make_timestamp(CAST(bq_fail('Invalid timestamp: ''' || x || '''') AS BIGINT))
      AT TIME ZONE 'UTC' END;
CREATE OR REPLACE MACRO bq_safe_timestamp
  (x DATE) AS CAST(x AS TIMESTAMP) AT TIME ZONE 'UTC',
  (x TIMESTAMP) AS x AT TIME ZONE 'UTC',
  (x TIMESTAMP WITH TIME ZONE) AS x,
  (x VARCHAR) AS CASE WHEN bq_is_timestamp(x) THEN TRY_CAST(bq_big_t(x) AS TIMESTAMP WITH TIME ZONE) END;

-- Files may leave out the seconds, write slashes in dates, and count the seconds since 1970.
CREATE OR REPLACE MACRO bq_csv_moment(x) AS regexp_replace(
  regexp_replace(x, '^\s*([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})', '\1-\2-\3'),
  '([ Tt][0-9]{1,2}:[0-9]{1,2})($|[^:0-9])', '\1:00\2');
CREATE OR REPLACE MACRO bq_csv_datetime(x) AS CASE
  WHEN bq_is_datetime(x) THEN TRY_CAST(x AS TIMESTAMP)
  ELSE bq_safe_datetime(bq_csv_moment(x)) END;
CREATE OR REPLACE MACRO bq_csv_timestamp(x) AS CASE
  WHEN bq_is_timestamp(x) THEN TRY_CAST(x AS TIMESTAMP WITH TIME ZONE)
  WHEN regexp_full_match(x, '\s*[-+]?[0-9]{1,12}(\.[0-9]*)?([eE][-+]?[0-9]{1,2})?\s*')
  THEN CASE WHEN TRY_CAST(x AS DECIMAL(36, 6)) BETWEEN -62135596800 AND 253402300799.999999
    THEN make_timestamp(CAST(CAST(x AS DECIMAL(36, 6)) * 1000000 AS BIGINT)) AT TIME ZONE 'UTC' END
  ELSE bq_safe_timestamp(bq_csv_moment(x)) END;

CREATE OR REPLACE MACRO bq_time
  (x TIME) AS x,
  (x TIMESTAMP) AS CAST(x AS TIME),
  (x TIMESTAMP WITH TIME ZONE) AS CAST(x AT TIME ZONE 'UTC' AS TIME),
  (x VARCHAR) AS CASE WHEN bq_is_time(x) THEN CAST(x AS TIME)
    ELSE TIME '00:00:00' + to_microseconds(bq_fail('Invalid time string "' || x || '"')) END;
CREATE OR REPLACE MACRO bq_safe_time
  (x TIME) AS x,
  (x TIMESTAMP) AS CAST(x AS TIME),
  (x TIMESTAMP WITH TIME ZONE) AS CAST(x AT TIME ZONE 'UTC' AS TIME),
  (x VARCHAR) AS CASE WHEN bq_is_time(x) THEN TRY_CAST(x AS TIME) END;
