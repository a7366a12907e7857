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
-- In steps, for digits that don't fit with nine more.
CREATE OR REPLACE MACRO bq_long_quotient(x, y) AS list_extract(list_transform(list_transform(
  list_transform([{'q': x // y, 'r': x % y, 'y': y}],
    lambda ·s: {'q': ·s.q * 1000 + ·s.r * 1000 // ·s.y, 'r': ·s.r * 1000 % ·s.y, 'y': ·s.y}),
  lambda ·s: {'q': ·s.q * 1000 + ·s.r * 1000 // ·s.y, 'r': ·s.r * 1000 % ·s.y, 'y': ·s.y}),
  lambda ·s: ·s.q * 1000 + bq_rounded_quotient(·s.r * 1000, ·s.y)), 1);
CREATE OR REPLACE MACRO bq_decimal_quotient(a, b) AS bq_of_digits(coalesce(
  TRY(bq_rounded_quotient(bq_digits(a) * 1000000000::HUGEINT, bq_digits(b))),
  bq_long_quotient(bq_digits(a), bq_digits(b))));

-- DuckDB's product of decimals has 18 digits behind the point, and so 20 before it: this multiplies
-- whole numbers and fractions by themselves.
CREATE OR REPLACE MACRO bq_billionths(x) AS CAST((x - trunc(x)) * 1000000000 AS HUGEINT);
CREATE OR REPLACE MACRO bq_decimal_product(a, b) AS bq_of_digits(
  CAST(trunc(a) AS HUGEINT) * CAST(trunc(b) AS HUGEINT) * 1000000000
  + CAST(trunc(a) AS HUGEINT) * bq_billionths(b) + bq_billionths(a) * CAST(trunc(b) AS HUGEINT)
  + bq_rounded_quotient(bq_billionths(a) * bq_billionths(b), 1000000000));
CREATE OR REPLACE MACRO bq_multiply
  (a BIGINT, b BIGINT) AS a * b,
  (a HUGEINT, b HUGEINT) AS a * b,
  (a DECIMAL(38, 9), b DECIMAL(38, 9)) AS
    coalesce(TRY(CAST(a * b AS DECIMAL(38, 9))), bq_decimal_product(a, b)),
  (a DOUBLE, b DOUBLE) AS bq_finite(a * b, a, b);

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
    WHEN b = 0 THEN bq_fail('division by zero: MOD(' || a || ', ' || b || ')')
    WHEN b = -1 THEN CASE WHEN a IS NOT NULL THEN 0 END ELSE a % nullif(b, 0) END,
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
  CASE
  WHEN x = '-inf' THEN CAST('nan' AS DOUBLE)
  WHEN x <= 0 THEN bq_fail('Argument to LN must be positive') ELSE ln(x) END;
CREATE OR REPLACE MACRO bq_log(x DOUBLE, base DOUBLE) AS
CASE
  WHEN isinf(base) OR x = '-inf' OR (x = 'inf' AND base <= 0) THEN CAST('nan' AS DOUBLE)
  WHEN x = 'inf' THEN CASE WHEN base < 1 THEN -x ELSE x END
  WHEN x <= 0 OR base <= 0 OR base = 1 THEN bq_fail('Arguments to LOG are out of range')
  ELSE log(base, x) END;
CREATE OR REPLACE MACRO bq_pow(x DOUBLE, y DOUBLE) AS CASE
  WHEN x < 0 AND isfinite(x) AND y <> trunc(y) THEN bq_fail('Floating point error in function: POW')
  ELSE bq_finite(pow(x, y), x, y) END;
CREATE OR REPLACE MACRO bq_exp(x DOUBLE) AS bq_finite(exp(x), x, x);

CREATE OR REPLACE MACRO bq_acos(x DOUBLE) AS
  CASE WHEN NOT isfinite(x) THEN CAST('nan' AS DOUBLE)
  WHEN abs(x) > 1 THEN bq_fail('Argument to ACOS must be in [-1, 1]') ELSE acos(x) END;
CREATE OR REPLACE MACRO bq_acosh(x DOUBLE) AS
  CASE WHEN x = '-inf' THEN CAST('nan' AS DOUBLE)
  WHEN x < 1 THEN bq_fail('Argument to ACOSH must be at least 1') ELSE acosh(x) END;
CREATE OR REPLACE MACRO bq_asin(x DOUBLE) AS
  CASE WHEN NOT isfinite(x) THEN CAST('nan' AS DOUBLE)
  WHEN abs(x) > 1 THEN bq_fail('Argument to ASIN must be in [-1, 1]') ELSE asin(x) END;
CREATE OR REPLACE MACRO bq_asinh(x DOUBLE) AS asinh(x);
CREATE OR REPLACE MACRO bq_atan(x DOUBLE) AS atan(x);
CREATE OR REPLACE MACRO bq_atan2(x DOUBLE, y DOUBLE) AS atan2(x, y);
CREATE OR REPLACE MACRO bq_atanh(x DOUBLE) AS
  CASE WHEN NOT isfinite(x) THEN CAST('nan' AS DOUBLE)
  WHEN abs(x) >= 1 THEN bq_fail('Argument to ATANH must be in (-1, 1)') ELSE atanh(x) END;
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
-- Shifts are those of 64 bits without a sign.
CREATE OR REPLACE MACRO bq_of_bits(r) AS CAST(CASE
  WHEN r >= 9223372036854775808::HUGEINT THEN r - 18446744073709551616::HUGEINT
  WHEN r < -9223372036854775808::HUGEINT THEN r + 18446744073709551616::HUGEINT
  ELSE r END AS BIGINT);
CREATE OR REPLACE MACRO bq_shift_left(a BIGINT, n BIGINT) AS CASE
  WHEN n < 0 THEN CAST(bq_fail('Bitwise shift by negative offset.') AS BIGINT)
  WHEN n > 63 THEN 0
  ELSE bq_of_bits(CAST(a AS HUGEINT) * (1::HUGEINT << CASE WHEN n BETWEEN 0 AND 63 THEN n END)
    % 18446744073709551616::HUGEINT) END;
CREATE OR REPLACE MACRO bq_shift_right(a BIGINT, n BIGINT) AS CASE
  WHEN n < 0 THEN CAST(bq_fail('Bitwise shift by negative offset.') AS BIGINT)
  WHEN n > 63 THEN 0
  WHEN n = 0 THEN a
  ELSE CAST((CAST(a AS HUGEINT) + CASE WHEN a < 0 THEN 18446744073709551616::HUGEINT ELSE 0 END)
    // (1::HUGEINT << CASE WHEN n BETWEEN 0 AND 63 THEN n END) AS BIGINT) END;
CREATE OR REPLACE MACRO bq_bit_xor(a BIGINT, b BIGINT) AS xor(a, b);
-- The sign may stand at either end, apart from the digits, between which commas count for nothing.
CREATE OR REPLACE MACRO bq_parse_numeric(x VARCHAR) AS CASE
  WHEN regexp_full_match(x, '\s*([+-]\s*)?[0-9.][^\s+]*\s*|\s*[0-9.][^\s]*\s*[+-]\s*')
  THEN bq_numeric(regexp_replace(
    regexp_replace(x, '[\s,]', '', 'g'), '^([^+-].*)([+-])$', '\2\1'))
  ELSE bq_numeric(x) END;
CREATE OR REPLACE MACRO bq_safe_negate
  (x BIGINT) AS CASE WHEN x <> -9223372036854775807 - 1 THEN -x END,
  (x DECIMAL(38, 9)) AS -x,
  (x DOUBLE) AS -x;
