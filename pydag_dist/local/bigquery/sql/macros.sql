-- GoogleSQL's functions where DuckDB's own of that name, or operator, differs: another type of the
-- result, errors instead of infinities and NULLs, strict forms of texts.
-- A macro is chosen by the types of its arguments. No overload fits: "not supported" (501).
-- An error is a cast that fails: error() counts as volatile, which TRY and PARTITION BY refuse.

CREATE OR REPLACE MACRO bq_fail(message) AS CAST('bq: ' || message AS INTEGER);

-- Casts -----------------------------------------------------------------------------------------

CREATE OR REPLACE MACRO bq_is_int(s) AS
  regexp_full_match(s, '\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*');
CREATE OR REPLACE MACRO bq_is_float(s) AS
  regexp_full_match(s, '\s*[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|(?i:inf|infinity|nan))\s*');
CREATE OR REPLACE MACRO bq_is_numeric(s) AS
  regexp_full_match(s, '\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*');
CREATE OR REPLACE MACRO bq_is_date(s) AS regexp_full_match(s, '\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}\s*');
CREATE OR REPLACE MACRO bq_is_time(s) AS
  regexp_full_match(s, '[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]{0,6})?');
CREATE OR REPLACE MACRO bq_is_datetime(s) AS regexp_full_match(s,
  '\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]{0,6})?)?\s*');
CREATE OR REPLACE MACRO bq_is_timestamp(s) AS regexp_full_match(s,
  '\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]{0,6})?)?( ?([Zz]|[+-][0-9]{1,2}(:?[0-9]{2})?)| (UTC|[A-Za-z_]+(/[A-Za-z_]+)+))?\s*');

CREATE OR REPLACE MACRO bq_int64
  (x BIGINT) AS x,
  (x HUGEINT) AS CAST(x AS BIGINT),
  (x BOOLEAN) AS CAST(x AS BIGINT),
  (x DOUBLE) AS CAST(round(x) AS BIGINT),
  (x DECIMAL(38, 9)) AS CAST(round(x) AS BIGINT),
  (x VARCHAR) AS CASE
    WHEN bq_is_int(x) THEN CAST(x AS BIGINT) ELSE bq_fail('Bad int64 value: ' || x) END;
CREATE OR REPLACE MACRO bq_safe_int64
  (x BIGINT) AS x,
  (x HUGEINT) AS TRY_CAST(x AS BIGINT),
  (x BOOLEAN) AS CAST(x AS BIGINT),
  (x DOUBLE) AS TRY_CAST(round(x) AS BIGINT),
  (x DECIMAL(38, 9)) AS TRY_CAST(round(x) AS BIGINT),
  (x VARCHAR) AS CASE WHEN bq_is_int(x) THEN TRY_CAST(x AS BIGINT) END;

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
CREATE OR REPLACE MACRO bq_shortest(x) AS CASE
  WHEN isnan(x) THEN 'NaN'
  WHEN isinf(x) THEN CASE WHEN x > 0 THEN '+inf' ELSE '-inf' END
  WHEN x = 0 THEN '0'
  ELSE regexp_replace(CAST(x AS VARCHAR), '\.0$', '') END;
CREATE OR REPLACE MACRO bq_string
  (x VARCHAR) AS x,
  (x BIGINT) AS CAST(x AS VARCHAR),
  (x HUGEINT) AS CAST(x AS VARCHAR),
  (x BOOLEAN) AS CAST(x AS VARCHAR),
  (x DOUBLE) AS bq_shortest(x),
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
  (x TIMESTAMP WITH TIME ZONE) AS bq_string(x),
  (x JSON) AS CASE
    WHEN json_type(x) <> 'VARCHAR' THEN CAST(bq_fail('The JSON value is not a string') AS VARCHAR)
    ELSE json_extract_string(x, '$') END;

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

CREATE OR REPLACE MACRO bq_datetime
  (x DATE) AS CAST(x AS TIMESTAMP),
  (x TIMESTAMP) AS x,
  (x TIMESTAMP WITH TIME ZONE) AS x AT TIME ZONE 'UTC',
  (x VARCHAR) AS CASE WHEN bq_is_datetime(x) THEN CAST(x AS TIMESTAMP)
    ELSE make_timestamp(CAST(bq_fail('Invalid datetime string "' || x || '"') AS BIGINT)) END;
CREATE OR REPLACE MACRO bq_safe_datetime
  (x DATE) AS CAST(x AS TIMESTAMP),
  (x TIMESTAMP) AS x,
  (x TIMESTAMP WITH TIME ZONE) AS x AT TIME ZONE 'UTC',
  (x VARCHAR) AS CASE WHEN bq_is_datetime(x) THEN TRY_CAST(x AS TIMESTAMP) END;

CREATE OR REPLACE MACRO bq_timestamp
  (x DATE) AS CAST(x AS TIMESTAMP) AT TIME ZONE 'UTC',
  (x TIMESTAMP) AS x AT TIME ZONE 'UTC',
  (x TIMESTAMP WITH TIME ZONE) AS x,
  (x VARCHAR) AS CASE WHEN bq_is_timestamp(x) THEN CAST(x AS TIMESTAMP WITH TIME ZONE)
    ELSE make_timestamp(CAST(bq_fail('Invalid timestamp: ''' || x || '''') AS BIGINT))
      AT TIME ZONE 'UTC' END;
CREATE OR REPLACE MACRO bq_safe_timestamp
  (x DATE) AS CAST(x AS TIMESTAMP) AT TIME ZONE 'UTC',
  (x TIMESTAMP) AS x AT TIME ZONE 'UTC',
  (x TIMESTAMP WITH TIME ZONE) AS x,
  (x VARCHAR) AS CASE WHEN bq_is_timestamp(x) THEN TRY_CAST(x AS TIMESTAMP WITH TIME ZONE) END;

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

-- Arithmetic ------------------------------------------------------------------------------------

CREATE OR REPLACE MACRO bq_finite(result, a, b) AS CASE
  WHEN isinf(result) AND NOT isinf(a) AND NOT isinf(b) THEN bq_fail('double overflow')
  ELSE result END;

CREATE OR REPLACE MACRO bq_add
  (a BIGINT, b BIGINT) AS a + b,
  (a HUGEINT, b HUGEINT) AS a + b,
  (a DECIMAL(38, 9), b DECIMAL(38, 9)) AS a + b,
  (a DOUBLE, b DOUBLE) AS bq_finite(a + b, a, b),
  (a DATE, b BIGINT) AS a + CAST(b AS INTEGER),
  (a BIGINT, b DATE) AS b + CAST(a AS INTEGER),
  (a DATE, b INTERVAL) AS a + b,
  (a TIMESTAMP, b INTERVAL) AS a + b,
  (a TIMESTAMP WITH TIME ZONE, b INTERVAL) AS a + b;

CREATE OR REPLACE MACRO bq_subtract
  (a BIGINT, b BIGINT) AS a - b,
  (a HUGEINT, b HUGEINT) AS a - b,
  (a DECIMAL(38, 9), b DECIMAL(38, 9)) AS a - b,
  (a DOUBLE, b DOUBLE) AS bq_finite(a - b, a, b),
  (a DATE, b BIGINT) AS a - CAST(b AS INTEGER),
  (a DATE, b INTERVAL) AS a - b,
  (a TIMESTAMP, b INTERVAL) AS a - b,
  (a TIMESTAMP WITH TIME ZONE, b INTERVAL) AS a - b;

CREATE OR REPLACE MACRO bq_multiply
  (a BIGINT, b BIGINT) AS a * b,
  (a HUGEINT, b HUGEINT) AS a * b,
  (a DECIMAL(38, 9), b DECIMAL(38, 9)) AS CAST(a * b AS DECIMAL(38, 9)),
  (a DOUBLE, b DOUBLE) AS bq_finite(a * b, a, b);

-- DuckDB divides decimals as doubles: this divides their digits, rounding half away from zero.
CREATE OR REPLACE MACRO bq_digits(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT);
CREATE OR REPLACE MACRO bq_rounded_quotient(x, y) AS
  x // nullif(y, 0)
  + CASE WHEN 2 * abs(x % nullif(y, 0)) >= abs(y) THEN sign(x) * sign(y) ELSE 0 END;
CREATE OR REPLACE MACRO bq_decimal_quotient(a, b) AS
  CAST(bq_rounded_quotient(bq_digits(a) * 1000000000::HUGEINT, bq_digits(b)) AS DECIMAL(38, 0))
  * CAST(0.000000001 AS DECIMAL(9, 9));

CREATE OR REPLACE MACRO bq_divide
  (a DOUBLE, b DOUBLE) AS CASE
    WHEN b = 0 THEN bq_fail('division by zero: ' || bq_string(a) || ' / ' || bq_string(b))
    ELSE bq_finite(a / b, a, b) END,
  (a BIGINT, b BIGINT) AS CASE
    WHEN b = 0 THEN bq_fail('division by zero: ' || a || ' / ' || b) ELSE a / b END,
  (a HUGEINT, b HUGEINT) AS CASE
    WHEN b = 0 THEN bq_fail('division by zero: ' || a || ' / ' || b) ELSE a / b END,
  (a DECIMAL(38, 9), b DECIMAL(38, 9)) AS CASE
    WHEN b = 0 THEN bq_fail('division by zero: ' || bq_string(a) || ' / 0')
    ELSE bq_decimal_quotient(a, b) END;

CREATE OR REPLACE MACRO bq_safe_divide
  (a DOUBLE, b DOUBLE) AS CASE
    WHEN b = 0 OR (isinf(a / b) AND NOT isinf(a)) THEN NULL ELSE a / b END,
  (a BIGINT, b BIGINT) AS CASE WHEN b = 0 THEN NULL ELSE a / b END,
  (a HUGEINT, b HUGEINT) AS CASE WHEN b = 0 THEN NULL ELSE a / b END,
  (a DECIMAL(38, 9), b DECIMAL(38, 9)) AS CASE
    WHEN b = 0 THEN NULL ELSE bq_decimal_quotient(a, b) END;

CREATE OR REPLACE MACRO bq_ieee_divide(a DOUBLE, b DOUBLE) AS a / b;

CREATE OR REPLACE MACRO bq_div
  (a BIGINT, b BIGINT) AS CASE
    WHEN b = 0 THEN bq_fail('division by zero: ' || a || ' / ' || b) ELSE a // nullif(b, 0) END,
  (a HUGEINT, b HUGEINT) AS CASE
    WHEN b = 0 THEN bq_fail('division by zero: ' || a || ' / ' || b) ELSE a // nullif(b, 0) END;

CREATE OR REPLACE MACRO bq_mod
  (a BIGINT, b BIGINT) AS CASE
    WHEN b = 0 THEN bq_fail('division by zero: MOD(' || a || ', ' || b || ')') ELSE a % nullif(b, 0) END,
  (a HUGEINT, b HUGEINT) AS CASE
    WHEN b = 0 THEN bq_fail('division by zero: MOD(' || a || ', ' || b || ')') ELSE a % nullif(b, 0) END,
  (a DECIMAL(38, 9), b DECIMAL(38, 9)) AS CASE
    WHEN b = 0 THEN bq_fail('division by zero: MOD(' || a || ', 0)') ELSE a % nullif(b, 0) END;

CREATE OR REPLACE MACRO bq_round
  (x BIGINT) AS CAST(x AS DOUBLE),
  (x HUGEINT) AS CAST(x AS DOUBLE),
  (x DOUBLE) AS round(x),
  (x DECIMAL(38, 9)) AS CAST(round(x) AS DECIMAL(38, 9));
CREATE OR REPLACE MACRO bq_round_to
  (x BIGINT, n BIGINT) AS round(CAST(x AS DOUBLE), CAST(n AS INTEGER)),
  (x HUGEINT, n BIGINT) AS round(CAST(x AS DOUBLE), CAST(n AS INTEGER)),
  (x DOUBLE, n BIGINT) AS round(x, CAST(n AS INTEGER));
CREATE OR REPLACE MACRO bq_trunc
  (x BIGINT) AS CAST(x AS DOUBLE),
  (x HUGEINT) AS CAST(x AS DOUBLE),
  (x DOUBLE) AS trunc(x),
  (x DECIMAL(38, 9)) AS CAST(trunc(x) AS DECIMAL(38, 9));
CREATE OR REPLACE MACRO bq_ceil
  (x BIGINT) AS CAST(x AS DOUBLE),
  (x HUGEINT) AS CAST(x AS DOUBLE),
  (x DOUBLE) AS ceil(x),
  (x DECIMAL(38, 9)) AS CAST(ceil(x) AS DECIMAL(38, 9));
CREATE OR REPLACE MACRO bq_floor
  (x BIGINT) AS CAST(x AS DOUBLE),
  (x HUGEINT) AS CAST(x AS DOUBLE),
  (x DOUBLE) AS floor(x),
  (x DECIMAL(38, 9)) AS CAST(floor(x) AS DECIMAL(38, 9));
CREATE OR REPLACE MACRO bq_sign
  (x BIGINT) AS CAST(sign(x) AS BIGINT),
  (x DOUBLE) AS CAST(sign(x) AS DOUBLE),
  (x DECIMAL(38, 9)) AS CAST(sign(x) AS DECIMAL(38, 9));
CREATE OR REPLACE MACRO bq_sqrt(x DOUBLE) AS
  CASE WHEN x < 0 THEN bq_fail('Argument to SQRT cannot be negative') ELSE sqrt(x) END;
CREATE OR REPLACE MACRO bq_ln(x DOUBLE) AS
  CASE WHEN x <= 0 THEN bq_fail('Argument to LN must be positive') ELSE ln(x) END;
CREATE OR REPLACE MACRO bq_log(x DOUBLE, base DOUBLE) AS
  CASE WHEN x <= 0 OR base <= 0 OR base = 1 THEN bq_fail('Arguments to LOG are out of range')
  ELSE log(base, x) END;
CREATE OR REPLACE MACRO bq_pow(x DOUBLE, y DOUBLE) AS bq_finite(pow(x, y), x, y);
CREATE OR REPLACE MACRO bq_exp(x DOUBLE) AS bq_finite(exp(x), x, x);

-- Strings and bytes -----------------------------------------------------------------------------

CREATE OR REPLACE MACRO bq_length(x VARCHAR) AS length(x), (x BLOB) AS octet_length(x);
CREATE OR REPLACE MACRO bq_byte_length(x VARCHAR) AS strlen(x), (x BLOB) AS octet_length(x);
CREATE OR REPLACE MACRO bq_concat_one(a VARCHAR) AS a, (a BLOB) AS a;
CREATE OR REPLACE MACRO bq_concat(a VARCHAR, b VARCHAR) AS a || b, (a BLOB, b BLOB) AS a || b;
-- Position 0 is 1, one before the start is the start; it counts from the end when negative.
CREATE OR REPLACE MACRO bq_start(s, position) AS CASE
  WHEN position = 0 OR position < -length(s) THEN 1
  WHEN position < 0 THEN length(s) + position + 1
  ELSE position END;
CREATE OR REPLACE MACRO bq_substr(s VARCHAR, position BIGINT) AS
  substring(s, bq_start(s, position));
CREATE OR REPLACE MACRO bq_substr_of(s VARCHAR, position BIGINT, n BIGINT) AS CASE
  WHEN n < 0 THEN CAST(bq_fail('Third argument in SUBSTR() cannot be negative') AS VARCHAR)
  ELSE substring(s, bq_start(s, position), n) END;
CREATE OR REPLACE MACRO bq_left(s VARCHAR, n BIGINT) AS CASE
  WHEN n < 0 THEN CAST(bq_fail('Second argument in LEFT() cannot be negative') AS VARCHAR)
  ELSE left(s, n) END;
CREATE OR REPLACE MACRO bq_right(s VARCHAR, n BIGINT) AS CASE
  WHEN n < 0 THEN CAST(bq_fail('Second argument in RIGHT() cannot be negative') AS VARCHAR)
  ELSE right(s, n) END;
CREATE OR REPLACE MACRO bq_spaces() AS
  ' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(133) || chr(160) || chr(8232)
  || chr(8233) || chr(12288);
CREATE OR REPLACE MACRO bq_trim(s VARCHAR) AS trim(s, bq_spaces());
CREATE OR REPLACE MACRO bq_ltrim(s VARCHAR) AS ltrim(s, bq_spaces());
CREATE OR REPLACE MACRO bq_rtrim(s VARCHAR) AS rtrim(s, bq_spaces());
CREATE OR REPLACE MACRO bq_trim_of(s VARCHAR, of VARCHAR) AS trim(s, of);
CREATE OR REPLACE MACRO bq_ltrim_of(s VARCHAR, of VARCHAR) AS ltrim(s, of);
CREATE OR REPLACE MACRO bq_rtrim_of(s VARCHAR, of VARCHAR) AS rtrim(s, of);
CREATE OR REPLACE MACRO bq_lpad(s VARCHAR, n BIGINT, pattern VARCHAR) AS CASE
  WHEN n < 0 OR pattern = '' THEN CAST(bq_fail('Arguments of LPAD are out of range') AS VARCHAR)
  ELSE lpad(s, CAST(n AS INTEGER), pattern) END;
CREATE OR REPLACE MACRO bq_rpad(s VARCHAR, n BIGINT, pattern VARCHAR) AS CASE
  WHEN n < 0 OR pattern = '' THEN CAST(bq_fail('Arguments of RPAD are out of range') AS VARCHAR)
  ELSE rpad(s, CAST(n AS INTEGER), pattern) END;
CREATE OR REPLACE MACRO bq_repeat(s VARCHAR, n BIGINT) AS CASE
  WHEN n < 0 THEN CAST(bq_fail('Second argument in REPEAT() cannot be negative') AS VARCHAR)
  ELSE repeat(s, n) END;
CREATE OR REPLACE MACRO bq_upper(s VARCHAR) AS upper(s);
CREATE OR REPLACE MACRO bq_lower(s VARCHAR) AS lower(s);
CREATE OR REPLACE MACRO bq_reverse(s VARCHAR) AS reverse(s);
CREATE OR REPLACE MACRO bq_replace(s VARCHAR, a VARCHAR, b VARCHAR) AS replace(s, a, b);
CREATE OR REPLACE MACRO bq_strpos(s VARCHAR, of VARCHAR) AS strpos(s, of);
CREATE OR REPLACE MACRO bq_starts_with(s VARCHAR, with_ VARCHAR) AS starts_with(s, with_);
CREATE OR REPLACE MACRO bq_ends_with(s VARCHAR, with_ VARCHAR) AS ends_with(s, with_);
CREATE OR REPLACE MACRO bq_split(s VARCHAR, delimiter VARCHAR) AS CASE
  WHEN delimiter IS NOT NULL THEN string_split(s, delimiter) END;
CREATE OR REPLACE MACRO bq_regexp_contains(s VARCHAR, p VARCHAR) AS regexp_matches(s, p);
CREATE OR REPLACE MACRO bq_regexp_replace(s VARCHAR, p VARCHAR, r VARCHAR) AS
  regexp_replace(s, p, r, 'g');
CREATE OR REPLACE MACRO bq_to_hex(x BLOB) AS lower(hex(x));
CREATE OR REPLACE MACRO bq_from_hex(x VARCHAR) AS unhex(x);
CREATE OR REPLACE MACRO bq_to_base64(x BLOB) AS to_base64(x);
CREATE OR REPLACE MACRO bq_from_base64(x VARCHAR) AS from_base64(x);
CREATE OR REPLACE MACRO bq_md5(x VARCHAR) AS unhex(md5(x)), (x BLOB) AS unhex(md5(x));
CREATE OR REPLACE MACRO bq_sha1(x VARCHAR) AS unhex(sha1(x)), (x BLOB) AS unhex(sha1(x));
CREATE OR REPLACE MACRO bq_sha256(x VARCHAR) AS unhex(sha256(x)), (x BLOB) AS unhex(sha256(x));
CREATE OR REPLACE MACRO bq_chr(x BIGINT) AS chr(CAST(x AS INTEGER));
CREATE OR REPLACE MACRO bq_ascii(x VARCHAR) AS CASE
  WHEN ascii(x) > 127 THEN bq_fail('Non-ASCII character in argument of ASCII')
  ELSE CAST(ascii(x) AS BIGINT) END;
CREATE OR REPLACE MACRO bq_unicode(x VARCHAR) AS CASE
  WHEN x = '' THEN 0 ELSE CAST(unicode(x) AS BIGINT) END;
CREATE OR REPLACE MACRO bq_generate_uuid() AS CAST(uuid() AS VARCHAR);

-- Arrays ----------------------------------------------------------------------------------------

CREATE OR REPLACE MACRO bq_item(items, i) AS CASE
  WHEN i < 0 OR i >= len(items)
  THEN list_extract(items, bq_fail('Array index ' || i || ' is out of bounds'))
  ELSE list_extract(items, i + 1) END;
CREATE OR REPLACE MACRO bq_safe_item(items, i) AS CASE
  WHEN i >= 0 THEN list_extract(items, i + 1) END;
CREATE OR REPLACE MACRO bq_array_concat(a, b) AS CASE
  WHEN a IS NOT NULL AND b IS NOT NULL THEN list_concat(a, b) END;

-- JSON ------------------------------------------------------------------------------------------

CREATE OR REPLACE MACRO bq_json_value
  (x JSON, path VARCHAR) AS CASE
    WHEN json_type(x, path) NOT IN ('OBJECT', 'ARRAY', 'NULL')
    THEN json_extract_string(x, path) END,
  (x VARCHAR, path VARCHAR) AS CASE
    WHEN json_valid(x) AND json_type(x, path) NOT IN ('OBJECT', 'ARRAY', 'NULL')
    THEN json_extract_string(x, path) END;
-- Of a JSON value the result is JSON, and a null in it stays one.
CREATE OR REPLACE MACRO bq_json_query
  (x JSON, path VARCHAR) AS json_extract(x, path),
  (x VARCHAR, path VARCHAR) AS CASE
    WHEN json_valid(x) AND json_type(x, path) <> 'NULL'
    THEN CAST(json_extract(x, path) AS VARCHAR) END;
CREATE OR REPLACE MACRO bq_to_json_string
  (x JSON) AS CAST(x AS VARCHAR),
  (x VARCHAR) AS CAST(to_json(x) AS VARCHAR),
  (x BOOLEAN) AS CAST(x AS VARCHAR),
  (x BIGINT) AS CASE
    WHEN abs(x) > 9007199254740992 THEN '"' || x || '"' ELSE CAST(x AS VARCHAR) END;

-- Dates and times -------------------------------------------------------------------------------

CREATE OR REPLACE MACRO bq_date_add(d DATE, i INTERVAL) AS CAST(d + i AS DATE),
  (d TIMESTAMP, i INTERVAL) AS d + i, (d TIMESTAMP WITH TIME ZONE, i INTERVAL) AS d + i;
CREATE OR REPLACE MACRO bq_date_sub(d DATE, i INTERVAL) AS CAST(d - i AS DATE),
  (d TIMESTAMP, i INTERVAL) AS d - i, (d TIMESTAMP WITH TIME ZONE, i INTERVAL) AS d - i;
CREATE OR REPLACE MACRO bq_datetime_add(d TIMESTAMP, i INTERVAL) AS d + i;
CREATE OR REPLACE MACRO bq_datetime_sub(d TIMESTAMP, i INTERVAL) AS d - i;
CREATE OR REPLACE MACRO bq_timestamp_add(d TIMESTAMP WITH TIME ZONE, i INTERVAL) AS d + i;
CREATE OR REPLACE MACRO bq_timestamp_sub(d TIMESTAMP WITH TIME ZONE, i INTERVAL) AS d - i;
CREATE OR REPLACE MACRO bq_time_add(d TIME, i INTERVAL) AS d + i;
CREATE OR REPLACE MACRO bq_time_sub(d TIME, i INTERVAL) AS d - i;

-- `shift` days bring the week's first day to Monday, where DuckDB's weeks begin.
CREATE OR REPLACE MACRO bq_trunc_time
  (d DATE, part VARCHAR, shift BIGINT) AS
    CAST(date_trunc(part, d + CAST(shift AS INTEGER)) AS DATE) - CAST(shift AS INTEGER),
  (d TIMESTAMP, part VARCHAR, shift BIGINT) AS
    date_trunc(part, d + to_days(CAST(shift AS INTEGER))) - to_days(CAST(shift AS INTEGER)),
  (d TIMESTAMP WITH TIME ZONE, part VARCHAR, shift BIGINT) AS
    (date_trunc(part, d AT TIME ZONE 'UTC' + to_days(CAST(shift AS INTEGER)))
      - to_days(CAST(shift AS INTEGER))) AT TIME ZONE 'UTC';
CREATE OR REPLACE MACRO bq_weeks(a, b, shift) AS date_diff('day',
  date_trunc('week', b + to_days(CAST(shift AS INTEGER))),
  date_trunc('week', a + to_days(CAST(shift AS INTEGER)))) // 7;
CREATE OR REPLACE MACRO bq_diff
  (a DATE, b DATE, part VARCHAR, shift BIGINT) AS
    CASE WHEN part = 'week' THEN bq_weeks(a, b, shift) ELSE date_diff(part, b, a) END,
  (a TIMESTAMP, b TIMESTAMP, part VARCHAR, shift BIGINT) AS
    CASE WHEN part = 'week' THEN bq_weeks(a, b, shift) ELSE date_diff(part, b, a) END;
CREATE OR REPLACE MACRO bq_timestamp_diff
  (a TIMESTAMP WITH TIME ZONE, b TIMESTAMP WITH TIME ZONE, micros BIGINT) AS
    (epoch_us(a) - epoch_us(b)) // micros;
CREATE OR REPLACE MACRO bq_time_diff(a TIME, b TIME, part VARCHAR) AS date_diff(part, b, a);

CREATE OR REPLACE MACRO bq_extract_date
  (d DATE, part VARCHAR) AS date_part(part, d),
  (d TIMESTAMP, part VARCHAR) AS date_part(part, d),
  (d TIMESTAMP WITH TIME ZONE, part VARCHAR) AS date_part(part, d AT TIME ZONE 'UTC');
CREATE OR REPLACE MACRO bq_extract_time
  (d TIME, part VARCHAR, modulo BIGINT) AS date_part(part, d) % modulo,
  (d TIMESTAMP, part VARCHAR, modulo BIGINT) AS date_part(part, d) % modulo,
  (d TIMESTAMP WITH TIME ZONE, part VARCHAR, modulo BIGINT) AS
    date_part(part, d AT TIME ZONE 'UTC') % modulo;
-- What strftime() takes: it knows no TIMESTAMP WITH TIME ZONE in UTC.
CREATE OR REPLACE MACRO bq_civil
  (d DATE) AS CAST(d AS TIMESTAMP),
  (d TIMESTAMP) AS d,
  (d TIMESTAMP WITH TIME ZONE) AS d AT TIME ZONE 'UTC';
CREATE OR REPLACE MACRO bq_at_zone
  (d TIMESTAMP WITH TIME ZONE, zone VARCHAR) AS d AT TIME ZONE zone,
  (d TIMESTAMP, zone VARCHAR) AS d AT TIME ZONE zone;
CREATE OR REPLACE MACRO bq_unix_micros(x TIMESTAMP WITH TIME ZONE, micros BIGINT) AS
  epoch_us(x) // micros - CASE WHEN epoch_us(x) % micros < 0 THEN 1 ELSE 0 END;
CREATE OR REPLACE MACRO bq_from_micros(x BIGINT, micros BIGINT) AS
  make_timestamp(x * micros) AT TIME ZONE 'UTC';
CREATE OR REPLACE MACRO bq_unix_date(x DATE) AS date_diff('day', DATE '1970-01-01', x);
CREATE OR REPLACE MACRO bq_date_from_unix_date(x BIGINT) AS DATE '1970-01-01' + CAST(x AS INTEGER);
CREATE OR REPLACE MACRO bq_last_day(x DATE) AS last_day(x), (x TIMESTAMP) AS last_day(x);
CREATE OR REPLACE MACRO bq_make_date(y BIGINT, m BIGINT, d BIGINT) AS make_date(y, m, d);
CREATE OR REPLACE MACRO bq_make_time(h BIGINT, m BIGINT, s BIGINT) AS
  make_time(h, m, CAST(s AS DOUBLE));
CREATE OR REPLACE MACRO bq_make_datetime
  (y BIGINT, m BIGINT, d BIGINT, h BIGINT, mi BIGINT, s BIGINT) AS
    make_timestamp(y, m, d, h, mi, CAST(s AS DOUBLE));
CREATE OR REPLACE MACRO bq_datetime_of(d DATE, t TIME) AS d + t;
