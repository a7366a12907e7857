-- Each macro is GoogleSQL's function of that name where DuckDB's own differs: errors instead of
-- infinities and NULLs, rounding half away from zero, strict texts in casts.

CREATE OR REPLACE MACRO bq_divide(a, b) AS
  CASE WHEN b = 0 THEN error('division by zero: ' || a || ' / ' || b) ELSE a / b END;

CREATE OR REPLACE MACRO bq_div(a, b) AS
  CASE WHEN b = 0 THEN error('division by zero: ' || a || ' / ' || b) ELSE a // b END;

CREATE OR REPLACE MACRO bq_mod(a, b) AS
  CASE WHEN b = 0 THEN error('division by zero: MOD(' || a || ', ' || b || ')') ELSE a % b END;

CREATE OR REPLACE MACRO bq_safe_divide(a, b) AS CASE WHEN b = 0 THEN NULL ELSE a / b END;

CREATE OR REPLACE MACRO bq_int64(x) AS
  CASE
    WHEN typeof(x) IN ('DOUBLE', 'FLOAT') THEN CAST(round(CAST(x AS DOUBLE)) AS BIGINT)
    WHEN typeof(x) = 'VARCHAR'
      AND NOT regexp_full_match(CAST(x AS VARCHAR), '\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*')
      THEN error('Bad int64 value: ' || CAST(x AS VARCHAR))
    ELSE CAST(x AS BIGINT)
  END;

CREATE OR REPLACE MACRO bq_safe_int64(x) AS
  CASE
    WHEN typeof(x) IN ('DOUBLE', 'FLOAT') THEN TRY_CAST(round(CAST(x AS DOUBLE)) AS BIGINT)
    WHEN typeof(x) = 'VARCHAR'
      AND NOT regexp_full_match(CAST(x AS VARCHAR), '\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*')
      THEN NULL
    ELSE TRY_CAST(x AS BIGINT)
  END;
