-- Arithmetic

CREATE OR REPLACE MACRO bq_finite(result, a, b) AS CASE
  WHEN isinf(result) AND NOT isinf(a) AND NOT isinf(b) THEN bq_fail('double overflow')
  ELSE result END;

CREATE OR REPLACE MACRO bq_add
  (a BIGINT, b BIGINT) AS a + b,
  (a HUGEINT, b HUGEINT) AS a + b,
  (a DECIMAL(38, 9), b DECIMAL(38, 9)) AS a + b,
  (a DOUBLE, b DOUBLE) AS bq_finite(a + b, a, b),
  (a DATE, b BIGINT) AS bq_range(a + CAST(b AS INTEGER)),
  (a BIGINT, b DATE) AS bq_range(b + CAST(a AS INTEGER)),
  (a DATE, b INTERVAL) AS bq_range(a + b),
  (a TIMESTAMP, b INTERVAL) AS bq_range(a + b),
  (a TIMESTAMP WITH TIME ZONE, b INTERVAL) AS bq_range(a + b);

CREATE OR REPLACE MACRO bq_subtract
  (a BIGINT, b BIGINT) AS a - b,
  (a HUGEINT, b HUGEINT) AS a - b,
  (a DECIMAL(38, 9), b DECIMAL(38, 9)) AS a - b,
  (a DOUBLE, b DOUBLE) AS bq_finite(a - b, a, b),
  (a DATE, b BIGINT) AS bq_range(a - CAST(b AS INTEGER)),
  (a DATE, b INTERVAL) AS bq_range(a - b),
  (a TIMESTAMP, b INTERVAL) AS bq_range(a - b),
  (a TIMESTAMP WITH TIME ZONE, b INTERVAL) AS bq_range(a - b);

CREATE OR REPLACE MACRO bq_multiply
  (a BIGINT, b BIGINT) AS a * b,
  (a HUGEINT, b HUGEINT) AS a * b,
  (a DECIMAL(38, 9), b DECIMAL(38, 9)) AS CAST(a * b AS DECIMAL(38, 9)),
  (a DOUBLE, b DOUBLE) AS bq_finite(a * b, a, b);

-- Ten to the power of k, exactly.
CREATE OR REPLACE MACRO bq_power(k) AS CAST('1' || repeat('0', CAST(k AS BIGINT)) AS HUGEINT);
CREATE OR REPLACE MACRO bq_of_digits(x) AS
  CAST(CAST(x AS DECIMAL(38, 0)) * CAST(0.000000001 AS DECIMAL(9, 9)) AS DECIMAL(38, 9));
CREATE OR REPLACE MACRO bq_trunc_double(x, n) AS trunc(x, CAST(n AS INTEGER));
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
  (x DOUBLE, n BIGINT) AS round(x, CAST(n AS INTEGER)),
  (x DECIMAL(38, 9), n BIGINT) AS CASE
    WHEN n >= 9 THEN x
    WHEN n < -28 THEN CAST(0 AS DECIMAL(38, 9))
    ELSE bq_of_digits(bq_rounded_quotient(bq_digits(x), bq_power(9 - n)) * bq_power(9 - n)) END;
CREATE OR REPLACE MACRO bq_in_precision
  (x DECIMAL(38, 9), precision BIGINT, scale BIGINT, name VARCHAR) AS CASE
  WHEN abs(bq_digits(bq_round_to(x, scale))) >= bq_power(precision - scale + 9)
  THEN CAST(bq_fail(name || ' out of range: ' || bq_string(x)) AS DECIMAL(38, 9))
  ELSE bq_round_to(x, scale) END;
CREATE OR REPLACE MACRO bq_trunc_to
  (x BIGINT, n BIGINT) AS bq_trunc_double(CAST(x AS DOUBLE), n),
  (x HUGEINT, n BIGINT) AS bq_trunc_double(CAST(x AS DOUBLE), n),
  (x DOUBLE, n BIGINT) AS bq_trunc_double(x, n),
  (x DECIMAL(38, 9), n BIGINT) AS CASE
    WHEN n >= 9 THEN x
    WHEN n < -28 THEN CAST(0 AS DECIMAL(38, 9))
    ELSE bq_of_digits(bq_digits(x) // bq_power(9 - n) * bq_power(9 - n)) END;
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
  (x DOUBLE) AS CASE WHEN isnan(x) THEN x ELSE CAST(sign(x) AS DOUBLE) END,
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

CREATE OR REPLACE MACRO bq_acos(x DOUBLE) AS
  CASE WHEN abs(x) > 1 THEN bq_fail('Argument to ACOS must be in [-1, 1]') ELSE acos(x) END;
CREATE OR REPLACE MACRO bq_acosh(x DOUBLE) AS
  CASE WHEN x < 1 THEN bq_fail('Argument to ACOSH must be at least 1') ELSE acosh(x) END;
CREATE OR REPLACE MACRO bq_asin(x DOUBLE) AS
  CASE WHEN abs(x) > 1 THEN bq_fail('Argument to ASIN must be in [-1, 1]') ELSE asin(x) END;
CREATE OR REPLACE MACRO bq_asinh(x DOUBLE) AS asinh(x);
CREATE OR REPLACE MACRO bq_atan(x DOUBLE) AS atan(x);
CREATE OR REPLACE MACRO bq_atan2(x DOUBLE, y DOUBLE) AS atan2(x, y);
CREATE OR REPLACE MACRO bq_atanh(x DOUBLE) AS
  CASE WHEN abs(x) >= 1 THEN bq_fail('Argument to ATANH must be in (-1, 1)') ELSE atanh(x) END;
-- DuckDB's isn't exact for whole roots.
CREATE OR REPLACE MACRO bq_cbrt(x DOUBLE) AS CASE
  WHEN isfinite(x) AND round(cbrt(x)) * round(cbrt(x)) * round(cbrt(x)) = x THEN round(cbrt(x))
  ELSE cbrt(x) END;
CREATE OR REPLACE MACRO bq_cos(x DOUBLE) AS cos(x);
CREATE OR REPLACE MACRO bq_cosh(x DOUBLE) AS bq_finite(cosh(x), x, x);
CREATE OR REPLACE MACRO bq_cot(x DOUBLE) AS
  CASE WHEN x = 0 THEN bq_fail('Argument to COT cannot be 0') ELSE cot(x) END;
CREATE OR REPLACE MACRO bq_sin(x DOUBLE) AS sin(x);
CREATE OR REPLACE MACRO bq_sinh(x DOUBLE) AS bq_finite(sinh(x), x, x);
CREATE OR REPLACE MACRO bq_tan(x DOUBLE) AS tan(x);
CREATE OR REPLACE MACRO bq_tanh(x DOUBLE) AS tanh(x);
CREATE OR REPLACE MACRO bq_bit_count(x BIGINT) AS CAST(bit_count(x) AS BIGINT);
CREATE OR REPLACE MACRO bq_bit_xor(a BIGINT, b BIGINT) AS xor(a, b);
CREATE OR REPLACE MACRO bq_parse_numeric(x VARCHAR) AS bq_numeric(replace(x, ',', ''));
CREATE OR REPLACE MACRO bq_safe_negate
  (x BIGINT) AS CASE WHEN x <> -9223372036854775807 - 1 THEN -x END,
  (x DECIMAL(38, 9)) AS -x,
  (x DOUBLE) AS -x;
