-- Arrays

CREATE OR REPLACE MACRO bq_item(items, i) AS CASE
  WHEN i < 0 OR i >= len(items)
  THEN list_extract(items, bq_fail('Array index ' || i || ' is out of bounds'))
  ELSE list_extract(items, i + 1) END;
CREATE OR REPLACE MACRO bq_safe_item(items, i) AS CASE
  WHEN i >= 0 THEN list_extract(items, i + 1) END;
CREATE OR REPLACE MACRO bq_array_concat(a, b) AS CASE
  WHEN a IS NOT NULL AND b IS NOT NULL THEN list_concat(a, b) END;

-- JSON

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
  (x VARCHAR) AS CAST(to_json(x) AS VARCHAR),
  (x BOOLEAN) AS CAST(x AS VARCHAR),
  (x BIGINT) AS CASE
    WHEN abs(x) > 9007199254740992 THEN '"' || x || '"' ELSE CAST(x AS VARCHAR) END;
