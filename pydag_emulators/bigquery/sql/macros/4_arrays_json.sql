-- Arrays

CREATE OR REPLACE MACRO bq_item(items, i) AS CASE
  WHEN i < 0 OR i >= len(items)
  THEN list_extract(items, bq_fail('Array index ' || i || ' is out of bounds'))
  ELSE list_extract(items, i + 1) END;
CREATE OR REPLACE MACRO bq_safe_item(items, i) AS CASE
  WHEN i >= 0 THEN list_extract(items, i + 1) END;
CREATE OR REPLACE MACRO bq_array_first(items) AS CASE
  WHEN len(items) = 0
  THEN list_extract(items, bq_fail('ARRAY_FIRST cannot get the first element of an empty array'))
  ELSE list_extract(items, 1) END;
CREATE OR REPLACE MACRO bq_array_last(items) AS CASE
  WHEN len(items) = 0
  THEN list_extract(items, bq_fail('ARRAY_LAST cannot get the last element of an empty array'))
  ELSE list_extract(items, len(items)) END;
-- Both ends are counted from 0, from the end if they are negative, and belong to the slice.
CREATE OR REPLACE MACRO bq_array_slice(items, a, b) AS CASE
  WHEN items IS NULL OR a IS NULL OR b IS NULL THEN NULL
  ELSE items[
    greatest(CASE WHEN a < 0 THEN a + len(items) ELSE a END, 0) + 1
    :greatest(CASE WHEN b < 0 THEN b + len(items) ELSE b END, -1) + 1] END;
CREATE OR REPLACE MACRO bq_array_filled(items, instead) AS
  list_transform(items, lambda e: coalesce(e, instead));
-- How many are not greater; arrays of FLOAT64 may hold NaN, which is the greatest in DuckDB.
CREATE OR REPLACE MACRO bq_position(x, items) AS CASE
  WHEN x IS NULL OR items IS NULL THEN NULL
  WHEN len(list_filter(items, lambda e: e IS NULL)) > 0
  THEN CAST(bq_fail('Elements in input array to RANGE_BUCKET cannot be null') AS BIGINT)
  WHEN items <> list_sort(items)
  THEN CAST(bq_fail('Elements in input array to RANGE_BUCKET must be in ascending order') AS BIGINT)
  ELSE len(list_filter(items, lambda e: e <= x)) END;
CREATE OR REPLACE MACRO bq_range_bucket
  (x BIGINT, items BIGINT[]) AS bq_position(x, items),
  (x DECIMAL(38, 9), items DECIMAL(38, 9)[]) AS bq_position(x, items),
  (x VARCHAR, items VARCHAR[]) AS bq_position(x, items),
  (x DATE, items DATE[]) AS bq_position(x, items),
  (x TIMESTAMP WITH TIME ZONE, items TIMESTAMP WITH TIME ZONE[]) AS bq_position(x, items);
CREATE OR REPLACE MACRO bq_array_concat(a, b) AS CASE
  WHEN a IS NOT NULL AND b IS NOT NULL THEN list_concat(a, b) END;
-- How often each value is there, NULL too, the most frequent ones first.
CREATE OR REPLACE MACRO bq_counts(items) AS list_concat(
  list_transform(map_entries(list_histogram(items)),
    lambda ·e: {'n': CAST(·e.value AS BIGINT), 'value': ·e.key}),
  CASE WHEN len(items) > list_count(items)
    THEN [{'n': CAST(len(items) - list_count(items) AS BIGINT), 'value': NULL}] ELSE [] END);
CREATE OR REPLACE MACRO bq_top_count(items, n) AS list_transform(
  list_slice(list_sort(bq_counts(items), 'DESC'), 1, n),
  lambda ·e: {'value': ·e.value, 'count': ·e.n});

-- The sum of each value's weights, the greatest ones first; without weights it is NULL, and last.
CREATE OR REPLACE MACRO bq_sums(items) AS list_transform(
  list_distinct(list_transform(items, lambda ·e: {'v': ·e.value})),
  lambda ·d: {'value': ·d.v, 'sum': list_sum(list_transform(
    list_filter(items, lambda ·e: ·e.value IS NOT DISTINCT FROM ·d.v), lambda ·e: ·e.weight))});
CREATE OR REPLACE MACRO bq_top_sum(items, n) AS list_transform(
  list_slice(list_sort(list_transform(bq_sums(items),
    lambda ·e: {'known': ·e.sum IS NOT NULL, 'sum': ·e.sum, 'value': ·e.value}), 'DESC'), 1, n),
  lambda ·e: {'value': ·e.value, 'sum': ·e.sum});

CREATE OR REPLACE MACRO bq_generate_array
  (a BIGINT, b BIGINT, step BIGINT) AS CASE
    WHEN step = 0 THEN [CAST(bq_fail('Sequence step cannot be 0.') AS BIGINT)]
    ELSE generate_series(a, b, step) END,
  (a DECIMAL(38, 9), b DECIMAL(38, 9), step DECIMAL(38, 9)) AS CASE
    WHEN step = 0 THEN [CAST(bq_fail('Sequence step cannot be 0.') AS DECIMAL(38, 9))]
    ELSE list_transform(
      generate_series(0, CAST(floor((b - a) / step) AS BIGINT)),
      lambda i: CAST(a + i * step AS DECIMAL(38, 9))) END,
  (a DOUBLE, b DOUBLE, step DOUBLE) AS CASE
    WHEN step = 0 THEN [CAST(bq_fail('Sequence step cannot be 0.') AS DOUBLE)]
    ELSE list_transform(
      generate_series(0, CAST(floor((b - a) / step) AS BIGINT)), lambda i: a + i * step) END;

-- JSON

-- GoogleSQL gives the digits of a number in a text as they are written; DuckDB would read them as a
-- DOUBLE. So they become texts between two marks, if it could write them in another way.
CREATE OR REPLACE MACRO bq_json_marked(x) AS CASE
  WHEN NOT json_valid(x) THEN NULL
  WHEN regexp_matches(x, '[0-9][.eE]|-0|[0-9]{16}') THEN replace(replace(replace(regexp_replace(
    x, '("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*)', '\1' || chr(1) || '\2' || chr(2), 'g'),
    chr(1) || chr(2), ''), chr(1), '"\u0001'), chr(2), '\u0001"')
  ELSE x END;
CREATE OR REPLACE MACRO bq_json_unmarked(x) AS
  regexp_replace(CAST(x AS VARCHAR), '"\\u0001([0-9.eE+-]*)\\u0001"', '\1', 'g');
CREATE OR REPLACE MACRO bq_json_scalar(x, path) AS CASE
  WHEN json_type(x, path) = 'DOUBLE' THEN CAST(TRY_CAST(json_extract(x, path) AS DOUBLE) AS VARCHAR)
  WHEN json_type(x, path) NOT IN ('OBJECT', 'ARRAY', 'NULL')
  THEN regexp_replace(json_extract_string(x, path), '^\x01([0-9.eE+-]*)\x01$', '\1') END;
CREATE OR REPLACE MACRO bq_json_value
  (x JSON, path VARCHAR) AS bq_json_scalar(x, path),
  (x VARCHAR, path VARCHAR) AS bq_json_scalar(bq_json_marked(x), path);
-- A number that a DOUBLE doesn't hold is an error in BigQuery.
CREATE OR REPLACE MACRO bq_parse_json(x VARCHAR) AS CASE
  WHEN regexp_matches(x, '(^|[\[:,\s])-?([0-9]{20,}|[0-9]+\.[0-9]{16,}|[0-9]{16,}\.[0-9])')
  THEN json(CAST(bq_unsupported('numbers in JSON with more than 16 digits') AS VARCHAR))
  ELSE json_normalize(json(x)) END;
-- Of a JSON value the result is JSON, and a null in it stays one.
CREATE OR REPLACE MACRO bq_json_query
  (x JSON, path VARCHAR) AS json_extract(x, path),
  (x VARCHAR, path VARCHAR) AS CASE
    WHEN json_type(bq_json_marked(x), path) <> 'NULL'
    THEN bq_json_unmarked(json_extract(bq_json_marked(x), path)) END;
CREATE OR REPLACE MACRO bq_json_query_array
  (x JSON, path VARCHAR) AS CASE WHEN json_type(x, path) = 'ARRAY' THEN list_transform(
    TRY_CAST(json_extract(x, path) AS JSON[]), lambda e: coalesce(e, json('null'))) END,
  (x VARCHAR, path VARCHAR) AS CASE
    WHEN json_type(bq_json_marked(x), path) = 'ARRAY' THEN list_transform(
      TRY_CAST(json_extract(bq_json_marked(x), path) AS JSON[]),
      lambda e: coalesce(bq_json_unmarked(e), 'null')) END;
CREATE OR REPLACE MACRO bq_scalars(x, path) AS CASE
  WHEN len(list_filter(TRY_CAST(json_extract(x, path) AS JSON[]),
    lambda e: json_type(e) IN ('OBJECT', 'ARRAY'))) = 0
  THEN list_transform(
    TRY_CAST(json_extract(x, path) AS JSON[]), lambda e: bq_json_scalar(e, '$')) END;
CREATE OR REPLACE MACRO bq_json_value_array
  (x JSON, path VARCHAR) AS CASE WHEN json_type(x, path) = 'ARRAY' THEN bq_scalars(x, path) END,
  (x VARCHAR, path VARCHAR) AS CASE
    WHEN json_type(bq_json_marked(x), path) = 'ARRAY'
    THEN bq_scalars(bq_json_marked(x), path) END;
CREATE OR REPLACE MACRO bq_json_type(x JSON) AS CASE json_type(x)
  WHEN 'OBJECT' THEN 'object' WHEN 'ARRAY' THEN 'array' WHEN 'VARCHAR' THEN 'string'
  WHEN 'BOOLEAN' THEN 'boolean' WHEN 'NULL' THEN 'null' ELSE 'number' END;
CREATE OR REPLACE MACRO bq_is_number(x) AS json_type(x) IN ('BIGINT', 'UBIGINT', 'DOUBLE');
CREATE OR REPLACE MACRO bq_json_text_of(x JSON) AS CASE
  WHEN json_type(x) <> 'VARCHAR' THEN CAST(bq_fail('The JSON value is not a string') AS VARCHAR)
  ELSE json_extract_string(x, '$') END;
CREATE OR REPLACE MACRO bq_json_int64(x JSON) AS CASE
  WHEN bq_is_number(x) AND CAST(x AS DOUBLE) = trunc(CAST(x AS DOUBLE)) THEN CAST(x AS BIGINT)
  WHEN x IS NOT NULL THEN CAST(bq_fail('The JSON value is not an INT64') AS BIGINT) END;
CREATE OR REPLACE MACRO bq_json_float64(x JSON) AS CASE
  WHEN bq_is_number(x) THEN CAST(x AS DOUBLE)
  WHEN x IS NOT NULL THEN CAST(bq_fail('The JSON value is not a number') AS DOUBLE) END;
CREATE OR REPLACE MACRO bq_json_bool(x JSON) AS CASE
  WHEN json_type(x) = 'BOOLEAN' THEN CAST(x AS BOOLEAN)
  WHEN x IS NOT NULL THEN CAST(bq_fail('The JSON value is not a boolean') AS BOOLEAN) END;
CREATE OR REPLACE MACRO bq_lax_string(x JSON) AS CASE
  WHEN json_type(x) = 'DOUBLE' THEN bq_float_text(TRY_CAST(x AS DOUBLE))
  ELSE bq_json_scalar(x, '$') END;
CREATE OR REPLACE MACRO bq_lax_int64(x JSON) AS CASE
  WHEN json_type(x) = 'BOOLEAN' THEN CAST(CAST(x AS BOOLEAN) AS BIGINT)
  WHEN bq_is_number(x) THEN TRY_CAST(round(CAST(x AS DOUBLE)) AS BIGINT)
  WHEN json_type(x) = 'VARCHAR' THEN coalesce(
    bq_safe_int64(json_extract_string(x, '$')),
    TRY_CAST(round(bq_safe_float64(json_extract_string(x, '$'))) AS BIGINT)) END;
CREATE OR REPLACE MACRO bq_lax_float64(x JSON) AS CASE
  WHEN bq_is_number(x) THEN CAST(x AS DOUBLE)
  WHEN json_type(x) = 'VARCHAR' THEN bq_safe_float64(json_extract_string(x, '$')) END;
CREATE OR REPLACE MACRO bq_lax_bool(x JSON) AS CASE
  WHEN json_type(x) = 'BOOLEAN' THEN CAST(x AS BOOLEAN)
  WHEN bq_is_number(x) THEN CAST(x AS DOUBLE) <> 0
  WHEN json_type(x) = 'VARCHAR' THEN bq_safe_bool(json_extract_string(x, '$')) END;

-- The JSON text of a value, which is NULL for NULL. Numbers that a DOUBLE doesn't hold are quoted.
CREATE OR REPLACE MACRO bq_json_text
  (x VARCHAR) AS CAST(to_json(x) AS VARCHAR),
  (x BOOLEAN) AS CAST(x AS VARCHAR),
  (x BIGINT) AS CASE
    WHEN x NOT BETWEEN -9007199254740992 AND 9007199254740992 THEN '"' || x || '"' ELSE CAST(x AS VARCHAR) END,
  (x HUGEINT) AS CASE
    WHEN abs(x) > 9007199254740992 THEN '"' || x || '"' ELSE CAST(x AS VARCHAR) END,
  (x DOUBLE) AS CASE
    WHEN isnan(x) THEN '"NaN"' WHEN x = 'inf' THEN '"Infinity"' WHEN x = '-inf' THEN '"-Infinity"'
    ELSE bq_float_text(x) END,
  (x DECIMAL(38, 9)) AS CASE
    WHEN abs(x) > 9007199254740992 OR x <> trunc(x)
    THEN '"' || bq_string(x) || '"' ELSE bq_string(x) END,
  (x BLOB) AS '"' || to_base64(x) || '"',
  (x DATE) AS '"' || bq_string(x) || '"',
  (x TIME) AS '"' || bq_string(x) || '"',
  (x TIMESTAMP) AS '"' || replace(bq_string(x), ' ', 'T') || '"',
  (x TIMESTAMP WITH TIME ZONE) AS
    '"' || replace(replace(bq_string(x), ' ', 'T'), '+00', 'Z') || '"';

-- Subscripts and fields: NULL if there is no such item.
CREATE OR REPLACE MACRO bq_json_item(x JSON, i BIGINT) AS CASE
  WHEN i >= 0 AND json_type(x) = 'ARRAY' THEN json_extract(x, '$[' || i || ']') END;
CREATE OR REPLACE MACRO bq_json_field(x JSON, name VARCHAR) AS CASE
  WHEN json_type(x) = 'OBJECT'
  THEN json_extract(x, '/' || replace(replace(name, '~', '~0'), '/', '~1')) END;

-- The JSON of a number, which must not change by it.
CREATE OR REPLACE MACRO bq_json_number
  (x BIGINT) AS CAST(x AS VARCHAR),
  (x DECIMAL(38, 9)) AS CASE
    WHEN TRY_CAST(CAST(x AS DOUBLE) AS DECIMAL(38, 9)) = x THEN bq_string(x)
    WHEN x IS NULL THEN NULL
    ELSE CAST(bq_fail('Input number: ' || bq_string(x) || ' cannot round-trip through string representation')
      AS VARCHAR) END;

-- Changing JSON
CREATE OR REPLACE MACRO bq_json_list(items) AS json('[' || array_to_string(
  list_transform(items, lambda e: coalesce(CAST(e AS VARCHAR), 'null')), ',') || ']');
-- The items of an array, and nulls behind them up to a length; null is an empty array.
CREATE OR REPLACE MACRO bq_json_padded(x, path, n) AS list_concat(
  CASE WHEN json_type(x, path) = 'ARRAY' THEN CAST(json_extract(x, path) AS JSON[]) ELSE [] END,
  list_transform(range(CAST(n AS BIGINT) - CAST(coalesce(json_array_length(x, path), 0) AS BIGINT)),
    lambda i: json('null')));
CREATE OR REPLACE MACRO bq_json_ready(x, path, empty) AS CASE
  WHEN coalesce(json_type(x, path), 'NULL') = 'NULL' THEN json_set(x, path, json(empty))
  ELSE x END;
CREATE OR REPLACE MACRO bq_json_pad(x, path, n) AS CASE
  WHEN json_type(x, path) = 'ARRAY' AND json_array_length(x, path) < n
  THEN json_set(x, path, bq_json_list(bq_json_padded(x, path, n)))
  ELSE x END;
CREATE OR REPLACE MACRO bq_json_append(x, path, items) AS CASE
  WHEN json_type(x, path) IN ('ARRAY', 'NULL') THEN json_set(x, path, bq_json_list(
    list_concat(bq_json_padded(x, path, 0), CAST(items AS JSON[]))))
  ELSE x END;
CREATE OR REPLACE MACRO bq_json_insert(x, path, n, items) AS CASE
  WHEN json_type(x, path) IN ('ARRAY', 'NULL') THEN json_set(x, path, bq_json_list(list_concat(
    list_concat(bq_json_padded(x, path, n)[1:n], CAST(items AS JSON[])),
    bq_json_padded(x, path, n)[n + 1:])))
  ELSE x END;
-- The last ones first, so that the places of the others stay.
CREATE OR REPLACE MACRO bq_json_without_null_items(x JSON) AS json(list_reduce(
  (SELECT coalesce(list(t.fullkey ORDER BY t.id DESC), []) FROM json_tree(x) AS t
    WHERE t.type = 'NULL' AND t.fullkey LIKE '%]'),
  lambda before, path: CAST(json_remove(json(before), path) AS VARCHAR), CAST(x AS VARCHAR)));
CREATE OR REPLACE MACRO bq_json_keys_of(x JSON) AS CASE
  WHEN x IS NOT NULL THEN (
    SELECT coalesce(list(DISTINCT substr(t.fullkey, 3) ORDER BY substr(t.fullkey, 3)), [])
    FROM json_tree(x) AS t WHERE t.fullkey <> '$' AND NOT contains(t.fullkey, '[')) END;
