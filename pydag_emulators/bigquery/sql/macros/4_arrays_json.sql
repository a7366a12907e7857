-- Arrays

CREATE OR REPLACE MACRO bq_item(items, i) AS CASE
  WHEN i < 0 OR i >= len(items)
  THEN list_extract(items, bq_fail('Array index ' || i || ' is out of bounds'))
  ELSE list_extract(items, i + 1) END;
CREATE OR REPLACE MACRO bq_safe_item(items, i) AS CASE
  WHEN i >= 0 THEN list_extract(items, i + 1) END;
CREATE OR REPLACE MACRO bq_array_concat(a, b) AS CASE
  WHEN a IS NOT NULL AND b IS NOT NULL THEN list_concat(a, b) END;

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

-- GoogleSQL gives a number's digits as they are written; DuckDB has read it as a DOUBLE.
CREATE OR REPLACE MACRO bq_json_scalar(x, path) AS CASE
  WHEN json_type(x, path) = 'DOUBLE'
    AND length(regexp_replace(CAST(x AS VARCHAR), '\s', '', 'g'))
      <> length(regexp_replace(CAST(json(CAST(x AS VARCHAR)) AS VARCHAR), '\s', '', 'g'))
  THEN CAST(bq_unsupported('numbers in JSON that are not in their shortest form') AS VARCHAR)
  ELSE json_extract_string(x, path) END;
CREATE OR REPLACE MACRO bq_valid(x) AS CASE WHEN json_valid(x) THEN x END;
CREATE OR REPLACE MACRO bq_json_value
  (x JSON, path VARCHAR) AS CASE
    WHEN json_type(x, path) NOT IN ('OBJECT', 'ARRAY', 'NULL')
    THEN bq_json_scalar(x, path) END,
  (x VARCHAR, path VARCHAR) AS CASE
    WHEN json_type(bq_valid(x), path) NOT IN ('OBJECT', 'ARRAY', 'NULL')
    THEN bq_json_scalar(bq_valid(x), path) END;
-- Of a JSON value the result is JSON, and a null in it stays one.
CREATE OR REPLACE MACRO bq_json_query
  (x JSON, path VARCHAR) AS json_extract(x, path),
  (x VARCHAR, path VARCHAR) AS CASE
    WHEN json_type(bq_valid(x), path) <> 'NULL'
    THEN CAST(json_extract(bq_valid(x), path) AS VARCHAR) END;
CREATE OR REPLACE MACRO bq_to_json_string
  (x VARCHAR) AS coalesce(CAST(to_json(x) AS VARCHAR), 'null'),
  (x BOOLEAN) AS coalesce(CAST(x AS VARCHAR), 'null'),
  (x BIGINT) AS CASE
    WHEN x IS NULL THEN 'null'
    WHEN abs(x) > 9007199254740992 THEN '"' || x || '"' ELSE CAST(x AS VARCHAR) END;
