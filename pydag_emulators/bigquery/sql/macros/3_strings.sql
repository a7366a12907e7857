-- Strings and bytes

CREATE OR REPLACE MACRO bq_length(x VARCHAR) AS length(x), (x BLOB) AS octet_length(x);
CREATE OR REPLACE MACRO bq_byte_length(x VARCHAR) AS strlen(x), (x BLOB) AS octet_length(x);
CREATE OR REPLACE MACRO bq_concat_one(a VARCHAR) AS a, (a BLOB) AS a;
CREATE OR REPLACE MACRO bq_concat(a VARCHAR, b VARCHAR) AS a || b, (a BLOB, b BLOB) AS a || b;
-- Bytes, by their hexadecimal digits
CREATE OR REPLACE MACRO bq_pairs(x) AS regexp_extract_all(hex(x), '..');
CREATE OR REPLACE MACRO bq_of_pairs(pairs) AS unhex(array_to_string(pairs, ''));
CREATE OR REPLACE MACRO bq_byte_start(x, position) AS CASE
  WHEN position = 0 OR position < -octet_length(x) THEN 1
  WHEN position < 0 THEN octet_length(x) + position + 1
  ELSE position END;

-- Position 0 is 1, one before the start is the start; it counts from the end when negative.
CREATE OR REPLACE MACRO bq_start(s, position) AS CASE
  WHEN position = 0 OR position < -length(s) THEN 1
  WHEN position < 0 THEN length(s) + position + 1
  ELSE position END;
CREATE OR REPLACE MACRO bq_substr
  (s VARCHAR, position BIGINT) AS substring(s, bq_start(s, position)),
  (s BLOB, position BIGINT) AS unhex(substring(hex(s), 2 * bq_byte_start(s, position) - 1));
CREATE OR REPLACE MACRO bq_substr_of
  (s VARCHAR, position BIGINT, n BIGINT) AS CASE
    WHEN n < 0 THEN CAST(bq_fail('Third argument in SUBSTR() cannot be negative') AS VARCHAR)
    ELSE substring(s, bq_start(s, position), n) END,
  (s BLOB, position BIGINT, n BIGINT) AS CASE
    WHEN n < 0 THEN unhex(CAST(bq_fail('Third argument in SUBSTR() cannot be negative') AS VARCHAR))
    ELSE unhex(substring(hex(s), 2 * bq_byte_start(s, position) - 1, 2 * n)) END;
CREATE OR REPLACE MACRO bq_left
  (s VARCHAR, n BIGINT) AS CASE
    WHEN n < 0 THEN CAST(bq_fail('Second argument in LEFT() cannot be negative') AS VARCHAR)
    ELSE left(s, n) END,
  (s BLOB, n BIGINT) AS CASE
    WHEN n < 0 THEN unhex(CAST(bq_fail('Second argument in LEFT() cannot be negative') AS VARCHAR))
    ELSE unhex(left(hex(s), 2 * n)) END;
CREATE OR REPLACE MACRO bq_right
  (s VARCHAR, n BIGINT) AS CASE
    WHEN n < 0 THEN CAST(bq_fail('Second argument in RIGHT() cannot be negative') AS VARCHAR)
    ELSE right(s, n) END,
  (s BLOB, n BIGINT) AS CASE
    WHEN n < 0 THEN unhex(CAST(bq_fail('Second argument in RIGHT() cannot be negative') AS VARCHAR))
    ELSE unhex(right(hex(s), 2 * n)) END;
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
CREATE OR REPLACE MACRO bq_upper
  (s VARCHAR) AS upper(replace(s, 'ß', 'SS')),
  (s BLOB) AS bq_of_pairs(list_transform(bq_pairs(s), lambda h: CASE
    WHEN h BETWEEN '61' AND '7A' THEN printf('%02X', CAST('0x' || h AS BIGINT) - 32) ELSE h END));
CREATE OR REPLACE MACRO bq_lower
  (s VARCHAR) AS lower(s),
  (s BLOB) AS bq_of_pairs(list_transform(bq_pairs(s), lambda h: CASE
    WHEN h BETWEEN '41' AND '5A' THEN printf('%02X', CAST('0x' || h AS BIGINT) + 32) ELSE h END));
CREATE OR REPLACE MACRO bq_reverse
  (s VARCHAR) AS reverse(s), (s BLOB) AS bq_of_pairs(list_reverse(bq_pairs(s)));
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

-- What depends on letters beyond ASCII, where DuckDB's rules differ from Unicode's.
CREATE OR REPLACE MACRO bq_casefold(s VARCHAR) AS CASE
  WHEN regexp_full_match(s, '[\x00-\x7F]*') THEN lower(s)
  ELSE CAST(bq_unsupported('NORMALIZE_AND_CASEFOLD of letters that are not ASCII') AS VARCHAR) END;
CREATE OR REPLACE MACRO bq_normalize(s VARCHAR) AS nfc_normalize(s);
CREATE OR REPLACE MACRO bq_contains(a VARCHAR, b VARCHAR) AS CASE
  WHEN regexp_full_match(a || b, '[\x00-\x7F]*') THEN contains(a, b)
  WHEN a IS NOT NULL AND b IS NOT NULL
  THEN CAST(bq_unsupported('CONTAINS_SUBSTR of letters that are not ASCII') AS BOOLEAN) END;
-- DuckDB counts bytes, so each character gets one byte that stands for it.
CREATE OR REPLACE MACRO bq_characters(s) AS list_distinct(
  list_transform(generate_series(1, length(s)), lambda i: substr(s, i, 1)));
CREATE OR REPLACE MACRO bq_one_byte_each(s, characters) AS translate(
  s, array_to_string(characters, ''),
  array_to_string(
    list_transform(generate_series(1, len(characters)), lambda i: chr(CAST(i AS INTEGER))), ''));
CREATE OR REPLACE MACRO bq_edit_distance(a VARCHAR, b VARCHAR) AS CASE
  WHEN regexp_full_match(a || b, '[\x00-\x7F]*') THEN levenshtein(a, b)
  WHEN len(bq_characters(a || b)) < 128 THEN levenshtein(
    bq_one_byte_each(a, bq_characters(a || b)), bq_one_byte_each(b, bq_characters(a || b)))
  WHEN a IS NOT NULL AND b IS NOT NULL
  THEN CAST(bq_unsupported('EDIT_DISTANCE of more than 127 different characters') AS BIGINT) END;
CREATE OR REPLACE MACRO bq_initcap(s VARCHAR, between VARCHAR) AS array_to_string(
  list_transform(generate_series(1, length(s)), lambda i: CASE
    WHEN i = 1 OR contains(between, substring(s, i - 1, 1)) THEN upper(substring(s, i, 1))
    ELSE lower(substring(s, i, 1)) END), '');
CREATE OR REPLACE MACRO bq_instr(s VARCHAR, of VARCHAR, position BIGINT, n BIGINT) AS CASE
  WHEN position = 0 OR n < 1 THEN CAST(bq_fail('Arguments of INSTR are out of range') AS BIGINT)
  WHEN s IS NOT NULL AND of IS NOT NULL THEN coalesce(list_extract(list_filter(
    CASE WHEN position > 0 THEN generate_series(position, length(s) - length(of) + 1)
      ELSE generate_series(length(s) + position + 1, 1, -1) END,
    lambda i: substring(s, i, length(of)) = of), n), 0) END;
CREATE OR REPLACE MACRO bq_from_position(s VARCHAR, position BIGINT) AS CASE
  WHEN position < 1 THEN CAST(bq_fail('Position must be positive') AS VARCHAR)
  WHEN position <= length(s) + 1 THEN substring(s, position) END;
CREATE OR REPLACE MACRO bq_nth_match(items, n) AS CASE
  WHEN n < 1 THEN CAST(bq_fail('Occurrence must be positive') AS VARCHAR)
  ELSE list_extract(items, n) END;
-- `before` is the pattern, behind a group for what is before it.
CREATE OR REPLACE MACRO bq_regexp_instr(s VARCHAR, before VARCHAR) AS CASE
  WHEN s IS NULL THEN NULL
  WHEN regexp_matches(s, before) THEN length(regexp_extract(s, before, 1)) + 1 ELSE 0 END;
CREATE OR REPLACE MACRO bq_safe_text(x BLOB) AS CASE
  WHEN x IS NULL THEN NULL
  WHEN TRY(decode(x)) IS NOT NULL THEN TRY(decode(x))
  ELSE CAST(bq_unsupported('SAFE_CONVERT_BYTES_TO_STRING of bytes that are no UTF-8') AS VARCHAR) END;
CREATE OR REPLACE MACRO bq_translate
  (s VARCHAR, a VARCHAR, b VARCHAR) AS CASE
    WHEN a <> '' AND length(a) <> len(list_distinct(string_split(a, '')))
    THEN CAST(bq_fail('Duplicate character in the source characters of TRANSLATE') AS VARCHAR)
    ELSE translate(s, a, b) END,
  (s BLOB, a BLOB, b BLOB) AS CASE
    WHEN octet_length(a) <> len(list_distinct(bq_pairs(a)))
    THEN unhex(CAST(bq_fail('Duplicate byte in the source bytes of TRANSLATE') AS VARCHAR))
    WHEN b IS NOT NULL THEN bq_of_pairs(list_transform(bq_pairs(s), lambda h: CASE
      WHEN list_contains(bq_pairs(a), h)
      THEN list_extract(bq_pairs(b), list_position(bq_pairs(a), h)) ELSE h END)) END;
CREATE OR REPLACE MACRO bq_code_points_to_string(items BIGINT[]) AS CASE
  WHEN len(list_filter(items, lambda c: c IS NULL)) = 0
  THEN array_to_string(list_transform(items, lambda c: chr(CAST(c AS INTEGER))), '') END;
CREATE OR REPLACE MACRO bq_code_points_to_bytes(items BIGINT[]) AS CASE
  WHEN len(list_filter(items, lambda c: c IS NULL)) = 0
  THEN bq_of_pairs(list_transform(items, lambda c: CASE
    WHEN c < 0 OR c > 255 THEN CAST(bq_fail('Invalid byte ' || c) AS VARCHAR)
    ELSE printf('%02X', c) END)) END;
CREATE OR REPLACE MACRO bq_to_code_points
  (x VARCHAR) AS list_transform(
    CASE WHEN x = '' THEN [] ELSE string_split(x, '') END, lambda c: CAST(unicode(c) AS BIGINT)),
  (x BLOB) AS list_transform(bq_pairs(x), lambda h: CAST('0x' || h AS BIGINT));

-- Equal codes in a row count once, whatever vowels are between them; the first letter stands for its
-- own code.
CREATE OR REPLACE MACRO bq_letters(x) AS regexp_replace(x, '[^A-Za-z]', '', 'g');
CREATE OR REPLACE MACRO bq_sound_codes(x) AS
  translate(upper(x), 'BFPVCGJKQSXZDTLMNRAEIOUYHW', '11112222222233455600000000');
CREATE OR REPLACE MACRO bq_soundex(x VARCHAR) AS CASE
  WHEN bq_letters(x) = '' THEN ''
  ELSE left(bq_letters(x), 1) || left(substr(list_reduce(
    ['1', '2', '3', '4', '5', '6'],
    lambda codes, code: regexp_replace(codes, code || '+', code, 'g'),
    left(bq_sound_codes(bq_letters(x)), 1)
    || replace(substr(bq_sound_codes(bq_letters(x)), 2), '0', '')), 2) || '000', 3) END;

-- What FORMAT shows of values, as `%t` and as `%T`.
CREATE OR REPLACE MACRO bq_float_shown(x DOUBLE) AS CASE
  WHEN NOT isfinite(x) THEN bq_string(x)
  WHEN x = 0 THEN CASE WHEN signbit(x) THEN '-0.0' ELSE '0.0' END
  WHEN regexp_matches(bq_string(x), '[.e]') THEN bq_string(x) ELSE bq_string(x) || '.0' END;
CREATE OR REPLACE MACRO bq_float_literal(x DOUBLE) AS CASE
  WHEN isnan(x) OR isinf(x) THEN 'CAST("' || bq_string(x) || '" AS FLOAT64)'
  ELSE bq_float_shown(x) END;
CREATE OR REPLACE MACRO bq_text_literal(x VARCHAR) AS CASE
  WHEN regexp_matches(x, '["\\\x00-\x1f\x7f]')
  THEN CAST(bq_unsupported('%T of texts with quotes, backslashes or control characters') AS VARCHAR)
  ELSE '"' || x || '"' END;
