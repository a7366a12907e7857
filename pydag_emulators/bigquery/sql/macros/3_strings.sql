-- Strings and bytes

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
-- DuckDB may compute a branch before it is chosen: hence the bounds in it, too.
CREATE OR REPLACE MACRO bq_lpad(s VARCHAR, n BIGINT, pattern VARCHAR) AS CASE
  WHEN n < 0 OR pattern = '' THEN CAST(bq_fail('Arguments of LPAD are out of range') AS VARCHAR)
  WHEN n > 1048576 THEN CAST(bq_fail('Output of LPAD exceeds max allowed output size of 1MB') AS VARCHAR)
  ELSE lpad(s, CAST(CASE WHEN n <= 1048576 THEN n END AS INTEGER), pattern) END;
CREATE OR REPLACE MACRO bq_rpad(s VARCHAR, n BIGINT, pattern VARCHAR) AS CASE
  WHEN n < 0 OR pattern = '' THEN CAST(bq_fail('Arguments of RPAD are out of range') AS VARCHAR)
  WHEN n > 1048576 THEN CAST(bq_fail('Output of RPAD exceeds max allowed output size of 1MB') AS VARCHAR)
  ELSE rpad(s, CAST(CASE WHEN n <= 1048576 THEN n END AS INTEGER), pattern) END;
CREATE OR REPLACE MACRO bq_repeat(s VARCHAR, n BIGINT) AS CASE
  WHEN n < 0 THEN CAST(bq_fail('Second argument in REPEAT() cannot be negative') AS VARCHAR)
  WHEN n * strlen(s) > 1048576 THEN CAST(bq_fail('Output of REPEAT exceeds max allowed output size of 1MB') AS VARCHAR)
  ELSE repeat(s, CASE WHEN n <= 1048576 THEN n END) END;
CREATE OR REPLACE MACRO bq_upper(s VARCHAR) AS upper(replace(s, 'ß', 'SS'));
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
