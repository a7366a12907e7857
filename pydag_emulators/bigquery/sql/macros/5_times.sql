-- Dates and times

CREATE OR REPLACE MACRO bq_date_add(d DATE, i INTERVAL) AS bq_range(CAST(d + i AS DATE)),
  (d TIMESTAMP, i INTERVAL) AS bq_range(d + i), (d TIMESTAMP WITH TIME ZONE, i INTERVAL) AS bq_range(d + i);
CREATE OR REPLACE MACRO bq_date_sub(d DATE, i INTERVAL) AS bq_range(CAST(d - i AS DATE)),
  (d TIMESTAMP, i INTERVAL) AS bq_range(d - i), (d TIMESTAMP WITH TIME ZONE, i INTERVAL) AS bq_range(d - i);
CREATE OR REPLACE MACRO bq_datetime_add(d TIMESTAMP, i INTERVAL) AS bq_range(d + i);
CREATE OR REPLACE MACRO bq_datetime_sub(d TIMESTAMP, i INTERVAL) AS bq_range(d - i);
CREATE OR REPLACE MACRO bq_timestamp_add(d TIMESTAMP WITH TIME ZONE, i INTERVAL) AS bq_range(d + i);
CREATE OR REPLACE MACRO bq_timestamp_sub(d TIMESTAMP WITH TIME ZONE, i INTERVAL) AS bq_range(d - i);
CREATE OR REPLACE MACRO bq_time_add(d TIME, i INTERVAL) AS d + i;
CREATE OR REPLACE MACRO bq_time_sub(d TIME, i INTERVAL) AS d - i;

-- `shift` days bring the week's first day to Monday, where DuckDB's weeks begin.
CREATE OR REPLACE MACRO bq_trunc_time
  (d DATE, part VARCHAR, shift BIGINT) AS
    bq_range(CAST(date_trunc(part, d + CAST(shift AS INTEGER)) AS DATE) - CAST(shift AS INTEGER)),
  (d TIMESTAMP, part VARCHAR, shift BIGINT) AS
    bq_range(
      date_trunc(part, d + to_days(CAST(shift AS INTEGER))) - to_days(CAST(shift AS INTEGER))),
  (d TIMESTAMP WITH TIME ZONE, part VARCHAR, shift BIGINT) AS
    bq_range((date_trunc(part, d AT TIME ZONE 'UTC' + to_days(CAST(shift AS INTEGER)))
      - to_days(CAST(shift AS INTEGER))) AT TIME ZONE 'UTC');
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
  (d DATE, part VARCHAR) AS CAST(date_part(part, d) AS BIGINT),
  (d TIMESTAMP, part VARCHAR) AS CAST(date_part(part, d) AS BIGINT),
  (d TIMESTAMP WITH TIME ZONE, part VARCHAR) AS CAST(date_part(part, d AT TIME ZONE 'UTC') AS BIGINT);
CREATE OR REPLACE MACRO bq_extract_time
  (d TIME, part VARCHAR, modulo BIGINT) AS CAST(date_part(part, d) AS BIGINT) % modulo,
  (d TIMESTAMP, part VARCHAR, modulo BIGINT) AS CAST(date_part(part, d) AS BIGINT) % modulo,
  (d TIMESTAMP WITH TIME ZONE, part VARCHAR, modulo BIGINT) AS
    CAST(date_part(part, d AT TIME ZONE 'UTC') AS BIGINT) % modulo;
-- What strftime() takes: it knows no TIMESTAMP WITH TIME ZONE in UTC.
CREATE OR REPLACE MACRO bq_civil
  (d DATE) AS CAST(d AS TIMESTAMP),
  (d TIMESTAMP) AS d,
  (d TIMESTAMP WITH TIME ZONE) AS d AT TIME ZONE 'UTC',
  (d TIME) AS DATE '1970-01-01' + d;
-- Time zones are names, or offsets such as +05:30, -8 and +14.
CREATE OR REPLACE MACRO bq_offset_of(zone) AS CASE
  WHEN regexp_full_match(zone, '[+-](0?[0-9]|1[0-3])(:[0-5][0-9])?|[+-]14(:00)?')
  THEN to_minutes(CASE WHEN zone LIKE '-%' THEN -1 ELSE 1 END * (
    60 * CAST(regexp_extract(zone, '[0-9]+') AS INTEGER)
    + coalesce(TRY_CAST(regexp_extract(zone, ':([0-9]+)', 1) AS INTEGER), 0))) END;
-- DuckDB also takes UTC+5, as which there is no time zone.
CREATE OR REPLACE MACRO bq_name_of(zone) AS CASE
  WHEN bq_offset_of(zone) IS NOT NULL THEN 'UTC'
  WHEN regexp_matches(zone, '[+-][0-9]') AND NOT regexp_full_match(zone, '(Etc/)?GMT[+-]0|Etc/GMT[+-][0-9]+')
  THEN CAST(bq_fail('Invalid time zone: ' || zone) AS VARCHAR)
  ELSE zone END;
CREATE OR REPLACE MACRO bq_shift_of(zone) AS coalesce(bq_offset_of(zone), to_minutes(0));
CREATE OR REPLACE MACRO bq_at_zone
  (d TIMESTAMP WITH TIME ZONE, zone VARCHAR) AS d AT TIME ZONE bq_name_of(zone) + bq_shift_of(zone),
  (d TIMESTAMP, zone VARCHAR) AS (d - bq_shift_of(zone)) AT TIME ZONE bq_name_of(zone);
CREATE OR REPLACE MACRO bq_unix_micros(x TIMESTAMP WITH TIME ZONE, micros BIGINT) AS
  epoch_us(x) // micros - CASE WHEN epoch_us(x) % micros < 0 THEN 1 ELSE 0 END;
CREATE OR REPLACE MACRO bq_from_micros(x BIGINT, micros BIGINT) AS
  bq_range(make_timestamp(x * micros) AT TIME ZONE 'UTC');
CREATE OR REPLACE MACRO bq_unix_date(x DATE) AS date_diff('day', DATE '1970-01-01', x);
CREATE OR REPLACE MACRO bq_date_from_unix_date(x BIGINT) AS bq_range(DATE '1970-01-01' + CAST(x AS INTEGER));
CREATE OR REPLACE MACRO bq_last_day(x DATE) AS last_day(x), (x TIMESTAMP) AS last_day(x);
CREATE OR REPLACE MACRO bq_make_date(y BIGINT, m BIGINT, d BIGINT) AS bq_range(make_date(y, m, d));
CREATE OR REPLACE MACRO bq_make_time(h BIGINT, m BIGINT, s BIGINT) AS CASE
  WHEN h NOT BETWEEN 0 AND 23 OR m NOT BETWEEN 0 AND 59 OR s NOT BETWEEN 0 AND 59
  THEN TIME '00:00:00' + to_microseconds(bq_fail('Input calculates to invalid time'))
  ELSE make_time(h, m, CAST(s AS DOUBLE)) END;
-- `days` are those that a step has at least. A step by months goes on from the day before it: after
-- the end of a shorter month, later days stay as early in theirs. Four years have all lengths.
CREATE OR REPLACE MACRO bq_nth_step(a, i, n, one, days) AS CASE
  WHEN days < 28 OR day(a) <= 28 THEN CAST(a AS TIMESTAMP) + i * n * one
  ELSE date_trunc('month', CAST(a AS TIMESTAMP) + i * n * one) + to_days(CAST(list_min(
    list_transform(generate_series(greatest(0, i - 48), i),
      lambda j: day(CAST(a AS TIMESTAMP) + j * n * one))) AS INTEGER) - 1) END;
CREATE OR REPLACE MACRO bq_steps(a, b, n, one, days) AS CASE
  WHEN n = 0 THEN [CAST(a + to_microseconds(bq_fail('Sequence step cannot be 0.')) AS TIMESTAMP)]
  ELSE list_filter(
    list_transform(
      generate_series(0, CAST(abs(date_diff('day', a, b)) / (abs(n) * days) AS BIGINT) + 1),
      lambda i: bq_nth_step(a, i, n, one, days)),
    lambda d: CASE WHEN n > 0 THEN d <= b ELSE d >= b END) END;
CREATE OR REPLACE MACRO bq_make_datetime
  (y BIGINT, m BIGINT, d BIGINT, h BIGINT, mi BIGINT, s BIGINT) AS
    CASE WHEN h > 23
      THEN make_timestamp(CAST(bq_fail('Input calculates to invalid datetime') AS BIGINT))
      ELSE bq_range(make_timestamp(y, m, d, h, mi, CAST(s AS DOUBLE))) END;
CREATE OR REPLACE MACRO bq_datetime_of(d DATE, t TIME) AS d + t;
-- A week begins on the day `first`, Sunday being 0; the days before the first such day are week 0.
CREATE OR REPLACE MACRO bq_week_of(d TIMESTAMP, first BIGINT) AS CAST(
  (dayofyear(d) + 6 - (dayofweek(d) - first + 7) % 7) // 7 AS BIGINT);
CREATE OR REPLACE MACRO bq_last_day_of(d DATE, part VARCHAR, shift BIGINT, months BIGINT) AS CASE
  WHEN part = 'week' THEN bq_range(bq_trunc_time(d, part, shift) + 6)
  ELSE bq_range(CAST(date_trunc(part, d) + to_months(CAST(months AS INTEGER)) AS DATE) - 1) END;
CREATE OR REPLACE MACRO bq_time_trunc(t TIME, part VARCHAR) AS
  CAST(date_trunc(part, DATE '1970-01-01' + t) AS TIME);
CREATE OR REPLACE MACRO bq_offset(minutes) AS
  CASE WHEN minutes < 0 THEN '-' ELSE '+' END || printf('%02d', abs(minutes) // 60)
  || CASE WHEN abs(minutes) % 60 <> 0 THEN printf(':%02d', abs(minutes) % 60) ELSE '' END;
CREATE OR REPLACE MACRO bq_string_at(x TIMESTAMP WITH TIME ZONE, zone VARCHAR) AS
  bq_string(bq_at_zone(x, zone))
  || bq_offset(date_diff('minute', x AT TIME ZONE 'UTC', bq_at_zone(x, zone)));
CREATE OR REPLACE MACRO bq_clock_of(minutes, between) AS
  CASE WHEN minutes < 0 THEN '-' ELSE '+' END
  || printf('%02d', abs(minutes) // 60) || between || printf('%02d', abs(minutes) % 60);
CREATE OR REPLACE MACRO bq_offset_text
  (x TIMESTAMP WITH TIME ZONE, zone VARCHAR, between VARCHAR) AS
    bq_clock_of(date_diff('minute', x AT TIME ZONE 'UTC', bq_at_zone(x, zone)), between);
CREATE OR REPLACE MACRO bq_day_padded(d) AS lpad(CAST(day(d) AS VARCHAR), 2, ' ');
CREATE OR REPLACE MACRO bq_weekday_text(d) AS CAST(dayofweek(d) + 1 AS VARCHAR);
CREATE OR REPLACE MACRO bq_seconds_of_day_text(d) AS
  printf('%05d', hour(d) * 3600 + minute(d) * 60 + second(d));
CREATE OR REPLACE MACRO bq_this_century(d) AS d + CASE
  WHEN year(d) < 2000 THEN to_years(100) ELSE to_years(0) END;
CREATE OR REPLACE MACRO bq_quarter_text(d) AS CAST(quarter(d) AS VARCHAR);
CREATE OR REPLACE MACRO bq_epoch_text(d) AS CAST(CAST(floor(epoch(d)) AS BIGINT) AS VARCHAR);
CREATE OR REPLACE MACRO bq_seconds_text(d) AS
  regexp_replace(regexp_replace(strftime(d, '%S.%f'), '0+$', ''), '\.$', '');
CREATE OR REPLACE MACRO bq_bucket_start(d, width, origin) AS CASE
  WHEN width <= INTERVAL 0 DAY
  THEN make_timestamp(CAST(bq_fail('The width of a bucket must be positive') AS BIGINT))
  ELSE time_bucket(CASE WHEN width > INTERVAL 0 DAY THEN width END, d, origin) END;
CREATE OR REPLACE MACRO bq_bucket
  (d DATE, width INTERVAL, origin DATE) AS
    CAST(bq_bucket_start(CAST(d AS TIMESTAMP), width, CAST(origin AS TIMESTAMP)) AS DATE),
  (d TIMESTAMP, width INTERVAL, origin TIMESTAMP) AS bq_bucket_start(d, width, origin),
  (d TIMESTAMP WITH TIME ZONE, width INTERVAL, origin TIMESTAMP WITH TIME ZONE) AS
    bq_bucket_start(d AT TIME ZONE 'UTC', width, origin AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
