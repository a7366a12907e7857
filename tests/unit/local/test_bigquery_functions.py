"""Each function and operator gives GoogleSQL's value and type.

Values are those of the examples in the GoogleSQL reference where it has one.
"""

# ruff: noqa: DTZ001 - DATETIME has no time zone
from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.schema import field_of, sql_type
from pydag_emulators.bigquery.sql.lower import to_duckdb
from pydag_emulators.bigquery.sql.scripts.read import parse_steps
from pydag_emulators.bigquery.storage.duck_errors import api_error


def evaluate(cursor: duckdb.DuckDBPyConnection, sql: str) -> tuple[str, Any]:
    """The type, as GoogleSQL names it, and the value of the only column and row of a query."""
    (statement,) = parse_steps(sql)
    try:
        relation = cursor.sql(to_duckdb(statement.tree.copy()))
        type_ = sql_type(field_of("x", relation.types[0]))
        (row,) = relation.fetchall()
    except duckdb.Error as error:
        raise api_error(error) from error
    return type_, row[0]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


VALUES = {
    # arithmetic
    "1 + 2": ("INT64", 3),
    "7 - 10": ("INT64", -3),
    "2000000000 * 2000000000": ("INT64", 4_000_000_000_000_000_000),
    "10 / 4": ("FLOAT64", 2.5),
    "1.5 * 2": ("FLOAT64", 3.0),
    "0.1 + 0.2": ("FLOAT64", 0.30000000000000004),
    "DIV(20, 4)": ("INT64", 5),
    "DIV(12, -7)": ("INT64", -1),
    "MOD(25, 12)": ("INT64", 1),
    "MOD(-7, 3)": ("INT64", -1),
    "IEEE_DIVIDE(20.0, 4)": ("FLOAT64", 5.0),
    "IEEE_DIVIDE(25.0, 0.0)": ("FLOAT64", float("inf")),
    "SAFE_DIVIDE(20, 0)": ("FLOAT64", None),
    "SAFE_DIVIDE(20, 4)": ("FLOAT64", 5.0),
    "SAFE_ADD(9223372036854775807, 1)": ("INT64", None),
    "SAFE_MULTIPLY(20, 4)": ("INT64", 80),
    "ABS(-25)": ("INT64", 25),
    "SIGN(-25)": ("INT64", -1),
    "SIGN(2.5)": ("FLOAT64", 1.0),
    "ROUND(2.0)": ("FLOAT64", 2.0),
    "ROUND(2.5)": ("FLOAT64", 3.0),
    "ROUND(-2.5)": ("FLOAT64", -3.0),
    "ROUND(123.7, -1)": ("FLOAT64", 120.0),
    "ROUND(1.235, 2)": ("FLOAT64", 1.24),
    "ROUND(5)": ("FLOAT64", 5.0),
    "TRUNC(2.8)": ("FLOAT64", 2.0),
    "TRUNC(-2.8)": ("FLOAT64", -2.0),
    "CEIL(2.3)": ("FLOAT64", 3.0),
    "CEILING(-2.3)": ("FLOAT64", -2.0),
    "FLOOR(-2.3)": ("FLOAT64", -3.0),
    "SQRT(25.0)": ("FLOAT64", 5.0),
    "POW(2, 3)": ("FLOAT64", 8.0),
    "EXP(0)": ("FLOAT64", 1.0),
    "LN(1.0)": ("FLOAT64", 0.0),
    "LOG(100, 10)": ("FLOAT64", 2.0),
    "LOG10(100)": ("FLOAT64", 2.0),
    "GREATEST(3, 5, 1)": ("INT64", 5),
    "GREATEST(3, NULL, 1)": ("INT64", None),
    "LEAST(3, 5, 1)": ("INT64", 1),
    "IS_NAN(CAST('nan' AS FLOAT64))": ("BOOL", True),
    "5 & 3": ("INT64", 1),
    "5 | 3": ("INT64", 7),
    "1 << 3": ("INT64", 8),
    "-(3)": ("INT64", -3),
    "0x1F": ("INT64", 31),
    "1e3": ("FLOAT64", 1000.0),
    # NUMERIC
    "NUMERIC '1.1' + NUMERIC '2.2'": ("NUMERIC", Decimal("3.3")),
    "NUMERIC '1.5' * 2": ("NUMERIC", Decimal(3)),
    "NUMERIC '0.000000001' * NUMERIC '0.5'": ("NUMERIC", Decimal("0.000000001")),
    "NUMERIC '10' / 3": ("NUMERIC", Decimal("3.333333333")),
    "NUMERIC '-20' / NUMERIC '3'": ("NUMERIC", Decimal("-6.666666667")),
    "NUMERIC '1' / 8": ("NUMERIC", Decimal("0.125")),
    "ROUND(NUMERIC '2.5')": ("NUMERIC", Decimal(3)),
    "CEIL(NUMERIC '2.1')": ("NUMERIC", Decimal(3)),
    "CAST(2.5 AS NUMERIC)": ("NUMERIC", Decimal("2.5")),
    "CAST(NUMERIC '2.50' AS STRING)": ("STRING", "2.5"),
    "NUMERIC '1' + 0.5": ("NUMERIC", Decimal("1.5")),
    # conditions
    "IF(1 < 2, 'a', 'b')": ("STRING", "a"),
    "IFNULL(NULL, 10)": ("INT64", 10),
    "COALESCE(NULL, NULL, 'x')": ("STRING", "x"),
    "NULLIF(10, 10)": ("INT64", None),
    "CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END": ("STRING", "two"),
    "CASE WHEN FALSE THEN 1 ELSE 2.5 END": ("FLOAT64", 2.5),
    "3 BETWEEN 1 AND 5": ("BOOL", True),
    "3 IN (1, 2)": ("BOOL", False),
    "3 IN UNNEST([1, 3])": ("BOOL", True),
    "NOT CAST(NULL AS BOOL)": ("BOOL", None),
    "NULL IS NULL": ("BOOL", True),
    "1 IS DISTINCT FROM NULL": ("BOOL", True),
    "'abc' LIKE 'a%'": ("BOOL", True),
    r"'a%c' LIKE r'a\%c'": ("BOOL", True),
    r"'abc' LIKE r'a\%c'": ("BOOL", False),
    "EXISTS(SELECT 1 FROM UNNEST([1]))": ("BOOL", True),
    # casts
    "CAST('12' AS INT64)": ("INT64", 12),
    "CAST('0x1f' AS INT64)": ("INT64", 31),
    "CAST(2.5 AS INT64)": ("INT64", 3),
    "CAST(-2.5 AS INT64)": ("INT64", -3),
    "CAST(1.0 AS STRING)": ("STRING", "1"),
    "CAST(1.5 AS STRING)": ("STRING", "1.5"),
    "CAST(TRUE AS STRING)": ("STRING", "true"),
    "CAST('TRUE' AS BOOL)": ("BOOL", True),
    "CAST(1 AS BOOL)": ("BOOL", True),
    "CAST(TRUE AS INT64)": ("INT64", 1),
    "SAFE_CAST('apple' AS INT64)": ("INT64", None),
    "SAFE_CAST('1_000' AS INT64)": ("INT64", None),
    "SAFE_CAST('2014-02-30' AS DATE)": ("DATE", None),
    "SAFE_CAST('2014/02/03' AS DATE)": ("DATE", None),
    "SAFE_CAST('yes' AS BOOL)": ("BOOL", None),
    "CAST('2014-2-3' AS DATE)": ("DATE", date(2014, 2, 3)),
    "CAST(DATE '2014-02-03' AS STRING)": ("STRING", "2014-02-03"),
    "CAST(TIMESTAMP '2014-02-03 12:00:00+02' AS STRING)": ("STRING", "2014-02-03 10:00:00+00"),
    "CAST(DATETIME '2014-02-03 12:00:00.5' AS STRING)": ("STRING", "2014-02-03 12:00:00.500"),
    "CAST(TIMESTAMP '2014-02-03 23:59:00-05' AS DATE)": ("DATE", date(2014, 2, 4)),
    "CAST('2014-02-03' AS TIMESTAMP)": ("TIMESTAMP", utc(2014, 2, 3)),
    "CAST('abc' AS BYTES)": ("BYTES", b"abc"),
    "CAST(b'abc' AS STRING)": ("STRING", "abc"),
    "CAST(NULL AS DATE)": ("DATE", None),
    "CAST('inf' AS FLOAT64)": ("FLOAT64", float("inf")),
    # strings
    "LENGTH('абвгд')": ("INT64", 5),
    "LENGTH(CAST('абвгд' AS BYTES))": ("INT64", 10),
    "BYTE_LENGTH('абвгд')": ("INT64", 10),
    "CHAR_LENGTH('абвгд')": ("INT64", 5),
    "CONCAT('T.P.', ' ', 'Bar')": ("STRING", "T.P. Bar"),
    "CONCAT('a', NULL)": ("STRING", None),
    "'a' || 'b'": ("STRING", "ab"),
    "UPPER('äb')": ("STRING", "ÄB"),
    "LOWER('ÄB')": ("STRING", "äb"),
    "SUBSTR('apple', 2)": ("STRING", "pple"),
    "SUBSTR('apple', 2, 2)": ("STRING", "pp"),
    "SUBSTR('apple', -2)": ("STRING", "le"),
    "SUBSTR('apple', 1, 123)": ("STRING", "apple"),
    "SUBSTR('apple', 123)": ("STRING", ""),
    "SUBSTR('apple', 0, 2)": ("STRING", "ap"),
    "SUBSTR('apple', -10, 2)": ("STRING", "ap"),
    "LEFT('banana', 3)": ("STRING", "ban"),
    "RIGHT('apple', 3)": ("STRING", "ple"),
    r"TRIM('\t apple \n')": ("STRING", "apple"),
    "TRIM('***apple***', '*')": ("STRING", "apple"),
    "LTRIM('  apple ')": ("STRING", "apple "),
    "RTRIM('applexz', 'xyz')": ("STRING", "apple"),
    "LPAD('abc', 5)": ("STRING", "  abc"),
    "LPAD('abcdefghi', 5)": ("STRING", "abcde"),
    "RPAD('abc', 8, 'def')": ("STRING", "abcdefde"),
    "REPLACE('cherry pie', 'pie', 'cobbler')": ("STRING", "cherry cobbler"),
    "REVERSE('foo')": ("STRING", "oof"),
    "REPEAT('abc', 3)": ("STRING", "abcabcabc"),
    "STRPOS('foo@example.com', '@')": ("INT64", 4),
    "STARTS_WITH('bar', 'b')": ("BOOL", True),
    "ENDS_WITH('bar', 'r')": ("BOOL", True),
    "SPLIT('a,b')": ("ARRAY<STRING>", ["a", "b"]),
    "SPLIT('b c', ' ')": ("ARRAY<STRING>", ["b", "c"]),
    "SPLIT('')": ("ARRAY<STRING>", [""]),
    r"REGEXP_CONTAINS('foo@example.com', r'@[a-z]+\.com')": ("BOOL", True),
    "REGEXP_EXTRACT('foo@example.com', r'^[a-z]+')": ("STRING", "foo"),
    r"REGEXP_EXTRACT('foo@example.com', r'@([a-z]+)\.')": ("STRING", "example"),
    "REGEXP_EXTRACT('foo', 'x')": ("STRING", None),
    "REGEXP_EXTRACT_ALL('a1b22', r'[0-9]+')": ("ARRAY<STRING>", ["1", "22"]),
    r"REGEXP_REPLACE('# Heading', r'^# ([a-zA-Z0-9\s]+$)', '<h1>\\1</h1>')": (
        "STRING",
        "<h1>Heading</h1>",
    ),
    "REGEXP_REPLACE('aaa', 'a', 'b')": ("STRING", "bbb"),
    "TO_HEX(b'\\x00\\x01\\xff')": ("STRING", "0001ff"),
    "FROM_HEX('00ff')": ("BYTES", b"\x00\xff"),
    "TO_BASE64(b'\\377\\340')": ("STRING", "/+A="),
    "FROM_BASE64('/+A=')": ("BYTES", b"\xff\xe0"),
    "TO_HEX(MD5('Hello World'))": ("STRING", "b10a8db164e0754105b7a99be72e3fe5"),
    "MD5('')": ("BYTES", bytes.fromhex("d41d8cd98f00b204e9800998ecf8427e")),
    "TO_HEX(SHA256('a'))": (
        "STRING",
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    ),
    "FORMAT('%05d|%s|%.2f%%', 42, 'a', 1.5)": ("STRING", "00042|a|1.50%"),
    "CHR(65)": ("STRING", "A"),
    "ASCII('abcd')": ("INT64", 97),
    "LENGTH(GENERATE_UUID())": ("INT64", 36),
    r"'a\n\'b\''": ("STRING", "a\n'b'"),
    r"r'a\n'": ("STRING", "a\\n"),
    "'''it's'''": ("STRING", "it's"),
    r"b'a\x00'": ("BYTES", b"a\x00"),
    # dates and times
    "DATE '2008-12-25'": ("DATE", date(2008, 12, 25)),
    "DATE(2016, 12, 25)": ("DATE", date(2016, 12, 25)),
    "DATE(DATETIME '2016-12-25 23:59:59')": ("DATE", date(2016, 12, 25)),
    "DATE(TIMESTAMP '2016-12-25 05:30:00+07', 'America/Los_Angeles')": ("DATE", date(2016, 12, 24)),
    "DATE_ADD(DATE '2008-12-25', INTERVAL 5 DAY)": ("DATE", date(2008, 12, 30)),
    "DATE_ADD('2008-12-25', INTERVAL 5 DAY)": ("DATE", date(2008, 12, 30)),
    "DATE_ADD(DATE '2024-01-31', INTERVAL 1 MONTH)": ("DATE", date(2024, 2, 29)),
    "DATE_SUB(DATE '2008-12-25', INTERVAL 1 WEEK)": ("DATE", date(2008, 12, 18)),
    "DATE '2020-01-01' + 3": ("DATE", date(2020, 1, 4)),
    "DATE '2020-01-01' - 1": ("DATE", date(2019, 12, 31)),
    "DATE '2020-01-01' + INTERVAL 1 DAY": ("DATETIME", datetime(2020, 1, 2)),
    "DATE_DIFF(DATE '2010-07-07', DATE '2008-12-25', DAY)": ("INT64", 559),
    "DATE_DIFF(DATE '2017-10-15', DATE '2017-10-14', WEEK)": ("INT64", 1),
    "DATE_DIFF('2017-12-18', '2017-12-17', WEEK)": ("INT64", 0),
    "DATE_DIFF('2017-12-18', '2017-12-17', WEEK(MONDAY))": ("INT64", 1),
    "DATE_DIFF('2017-12-18', '2017-12-17', ISOWEEK)": ("INT64", 1),
    "DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', YEAR)": ("INT64", 3),
    "DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', ISOYEAR)": ("INT64", 2),
    "DATE_TRUNC(DATE '2008-12-25', MONTH)": ("DATE", date(2008, 12, 1)),
    "DATE_TRUNC(DATE '2017-11-05', WEEK(MONDAY))": ("DATE", date(2017, 10, 30)),
    "DATE_TRUNC(DATE '2017-11-07', WEEK)": ("DATE", date(2017, 11, 5)),
    "DATE_TRUNC(DATE '2015-06-15', ISOYEAR)": ("DATE", date(2014, 12, 29)),
    "EXTRACT(DAY FROM DATE '2013-12-25')": ("INT64", 25),
    "EXTRACT(ISOYEAR FROM DATE '2015-12-31')": ("INT64", 2015),
    "EXTRACT(ISOWEEK FROM DATE '2016-01-01')": ("INT64", 53),
    "EXTRACT(WEEK FROM DATE '2017-11-05')": ("INT64", 45),
    "EXTRACT(WEEK(MONDAY) FROM DATE '2017-11-05')": ("INT64", 44),
    "EXTRACT(DAYOFWEEK FROM DATE '2024-03-03')": ("INT64", 1),
    "EXTRACT(DAYOFYEAR FROM DATE '2024-03-01')": ("INT64", 61),
    "EXTRACT(SECOND FROM TIMESTAMP '2008-12-25 05:30:17.123456+00')": ("INT64", 17),
    "EXTRACT(MILLISECOND FROM TIMESTAMP '2008-12-25 05:30:17.123456+00')": ("INT64", 123),
    "EXTRACT(MICROSECOND FROM DATETIME '2008-12-25 05:30:17.123456')": ("INT64", 123456),
    "EXTRACT(HOUR FROM TIMESTAMP '2008-12-25 05:30:00+00' AT TIME ZONE 'America/New_York')": (
        "INT64",
        0,
    ),
    "EXTRACT(DATE FROM TIMESTAMP '2008-12-25 05:30:00+00')": ("DATE", date(2008, 12, 25)),
    "LAST_DAY(DATE '2008-11-25')": ("DATE", date(2008, 11, 30)),
    "UNIX_DATE(DATE '2008-12-25')": ("INT64", 14238),
    "DATE_FROM_UNIX_DATE(14238)": ("DATE", date(2008, 12, 25)),
    "PARSE_DATE('%Y%m%d', '20081225')": ("DATE", date(2008, 12, 25)),
    "PARSE_DATE('%x', '12/25/08')": ("DATE", date(2008, 12, 25)),
    "PARSE_DATE('%F', '2008-12-25')": ("DATE", date(2008, 12, 25)),
    "PARSE_TIMESTAMP('%Y-%m-%d %H:%M:%S', '2008-12-25 07:30:00')": (
        "TIMESTAMP",
        utc(2008, 12, 25, 7, 30),
    ),
    "PARSE_TIMESTAMP('%F %T%Ez', '2008-12-25 07:30:00+02:00')": (
        "TIMESTAMP",
        utc(2008, 12, 25, 5, 30),
    ),
    "PARSE_DATETIME('%Y-%m-%d %H', '2008-12-25 07')": ("DATETIME", datetime(2008, 12, 25, 7)),
    "PARSE_TIME('%H:%M', '14:23')": ("TIME", time(14, 23)),
    "FORMAT_DATE('%b %d, %Y', DATE '2008-12-25')": ("STRING", "Dec 25, 2008"),
    "FORMAT_TIMESTAMP('%F %T %Z', TIMESTAMP '2050-12-25 15:30:55+00')": (
        "STRING",
        "2050-12-25 15:30:55 UTC",
    ),
    "FORMAT_TIMESTAMP('%H', TIMESTAMP '2050-12-25 15:30:55+00', 'Asia/Tokyo')": ("STRING", "00"),
    "FORMAT_DATETIME('%E6S', DATETIME '2008-12-25 15:30:01.5')": ("STRING", "01.500000"),
    "TIMESTAMP('2008-12-25 15:30:00+00')": ("TIMESTAMP", utc(2008, 12, 25, 15, 30)),
    "TIMESTAMP(DATE '2008-12-25')": ("TIMESTAMP", utc(2008, 12, 25)),
    "TIMESTAMP('2008-12-25 15:30:00', 'America/Los_Angeles')": (
        "TIMESTAMP",
        utc(2008, 12, 25, 23, 30),
    ),
    "TIMESTAMP_ADD(TIMESTAMP '2008-12-25 15:30:00+00', INTERVAL 10 MINUTE)": (
        "TIMESTAMP",
        utc(2008, 12, 25, 15, 40),
    ),
    "TIMESTAMP_DIFF(TIMESTAMP '2018-08-14', TIMESTAMP '2018-10-14', DAY)": ("INT64", -61),
    "TIMESTAMP_DIFF('2001-02-01 01:00:00', '2001-02-01 00:00:01', HOUR)": ("INT64", 0),
    "TIMESTAMP_TRUNC(TIMESTAMP '2008-12-25 15:30:00+00', DAY)": ("TIMESTAMP", utc(2008, 12, 25)),
    "TIMESTAMP_TRUNC(TIMESTAMP '2008-12-25 15:30:00+00', DAY, 'America/Los_Angeles')": (
        "TIMESTAMP",
        utc(2008, 12, 25, 8),
    ),
    "TIMESTAMP_TRUNC(TIMESTAMP '2017-11-06 00:00:00+12', WEEK(MONDAY), 'UTC')": (
        "TIMESTAMP",
        utc(2017, 10, 30),
    ),
    "UNIX_SECONDS(TIMESTAMP '2008-12-25 15:30:00+00')": ("INT64", 1230219000),
    "UNIX_SECONDS(TIMESTAMP '1969-12-31 23:59:59.9+00')": ("INT64", -1),
    "UNIX_MILLIS(TIMESTAMP '2008-12-25 15:30:00+00')": ("INT64", 1230219000000),
    "UNIX_MICROS(TIMESTAMP '2008-12-25 15:30:00+00')": ("INT64", 1230219000000000),
    "TIMESTAMP_SECONDS(1230219000)": ("TIMESTAMP", utc(2008, 12, 25, 15, 30)),
    "TIMESTAMP_MILLIS(1230219000000)": ("TIMESTAMP", utc(2008, 12, 25, 15, 30)),
    "TIMESTAMP_MICROS(1230219000000000)": ("TIMESTAMP", utc(2008, 12, 25, 15, 30)),
    "DATETIME(2008, 12, 25, 5, 30, 0)": ("DATETIME", datetime(2008, 12, 25, 5, 30)),
    "DATETIME(TIMESTAMP '2008-12-25 05:30:00+00', 'America/Los_Angeles')": (
        "DATETIME",
        datetime(2008, 12, 24, 21, 30),
    ),
    "DATETIME(DATE '2008-12-25', TIME '10:00:00')": ("DATETIME", datetime(2008, 12, 25, 10)),
    "DATETIME_ADD(DATETIME '2008-12-25 15:30:00', INTERVAL 10 MINUTE)": (
        "DATETIME",
        datetime(2008, 12, 25, 15, 40),
    ),
    "DATETIME_DIFF(DATETIME '2017-10-15 00:00:00', DATETIME '2017-10-14 23:59:59', DAY)": (
        "INT64",
        1,
    ),
    "DATETIME_TRUNC(DATETIME '2008-12-25 15:30:00', HOUR)": (
        "DATETIME",
        datetime(2008, 12, 25, 15),
    ),
    "TIME(15, 30, 0)": ("TIME", time(15, 30)),
    "TIME_ADD(TIME '15:30:00', INTERVAL 10 MINUTE)": ("TIME", time(15, 40)),
    "TIME_DIFF(TIME '15:30:00', TIME '14:35:00', MINUTE)": ("INT64", 55),
    "CURRENT_DATE() > DATE '2020-01-01'": ("BOOL", True),
    "CURRENT_TIMESTAMP() > TIMESTAMP '2020-01-01'": ("BOOL", True),
    "CURRENT_DATETIME('UTC') > DATETIME '2020-01-01'": ("BOOL", True),
    # arrays and structs
    "[1, 2]": ("ARRAY<INT64>", [1, 2]),
    "ARRAY<STRING>[]": ("ARRAY<STRING>", []),
    "ARRAY_LENGTH(['a', NULL])": ("INT64", 2),
    "ARRAY_CONCAT([1, 2], [3], [4])": ("ARRAY<INT64>", [1, 2, 3, 4]),
    "ARRAY_TO_STRING(['coffee', NULL, 'tea'], ', ')": ("STRING", "coffee, tea"),
    "ARRAY_REVERSE([1, 2, 3])": ("ARRAY<INT64>", [3, 2, 1]),
    "GENERATE_ARRAY(0, 10, 3)": ("ARRAY<INT64>", [0, 3, 6, 9]),
    "GENERATE_ARRAY(10, 0, -5)": ("ARRAY<INT64>", [10, 5, 0]),
    "GENERATE_DATE_ARRAY('2016-10-05', '2016-10-07')": (
        "ARRAY<DATE>",
        [date(2016, 10, 5), date(2016, 10, 6), date(2016, 10, 7)],
    ),
    "['a', 'b'][OFFSET(1)]": ("STRING", "b"),
    "['a', 'b'][ORDINAL(1)]": ("STRING", "a"),
    "['a', 'b'][SAFE_OFFSET(5)]": ("STRING", None),
    "['a', 'b'][0]": ("STRING", "a"),
    "STRUCT(1 AS a, 'x' AS b).b": ("STRING", "x"),
    "STRUCT(1 AS a, 'x' AS b)": ("STRUCT<a INT64, b STRING>", {"a": 1, "b": "x"}),
    "STRUCT(1, 'x')": ("STRUCT<_field_1 INT64, _field_2 STRING>", {"_field_1": 1, "_field_2": "x"}),
    "STRUCT<a INT64, b DATE>(1, '2020-01-01')": (
        "STRUCT<a INT64, b DATE>",
        {"a": 1, "b": date(2020, 1, 1)},
    ),
    "ARRAY<STRUCT<a INT64, b DATE>>[(1, '2020-01-01'), (2, NULL)]": (
        "ARRAY<STRUCT<a INT64, b DATE>>",
        [{"a": 1, "b": date(2020, 1, 1)}, {"a": 2, "b": None}],
    ),
    "ARRAY<STRUCT<INT64, INT64>>[(1, 2)]": (
        "ARRAY<STRUCT<_field_1 INT64, _field_2 INT64>>",
        [{"_field_1": 1, "_field_2": 2}],
    ),
    "[STRUCT(1 AS a), STRUCT(2)]": ("ARRAY<STRUCT<a INT64>>", [{"a": 1}, {"a": 2}]),
    "(1, NULL) = (1, 2)": ("BOOL", None),
    "(1, 2) IN ((1, 2), (3, NULL))": ("BOOL", True),
    "(1, 2) IN ((1, NULL), (3, 4))": ("BOOL", None),
    "(3, 2) NOT IN ((1, NULL), (3, 4))": ("BOOL", True),
    "ARRAY(SELECT x * 2 FROM UNNEST([1, 2]) AS x ORDER BY x DESC)": ("ARRAY<INT64>", [4, 2]),
    "ARRAY(SELECT AS STRUCT x, x + 1 AS y FROM UNNEST([1]) AS x)": (
        "ARRAY<STRUCT<x INT64, y INT64>>",
        [{"x": 1, "y": 2}],
    ),
    "(SELECT SUM(x) FROM UNNEST([1, 2, 3]) AS x)": ("INT64", 6),
    # JSON
    """JSON_VALUE('{"a": {"b": "c"}}', '$.a.b')""": ("STRING", "c"),
    """JSON_VALUE('{"a": [1]}', '$.a')""": ("STRING", None),
    """JSON_QUERY('{"a": [1, 2]}', '$.a')""": ("STRING", "[1,2]"),
    """JSON_EXTRACT_SCALAR('{"a": 5}', '$.a')""": ("STRING", "5"),
    """TO_JSON_STRING(JSON '{"a": [1, null]}')""": ("STRING", '{"a":[1,null]}'),
    """JSON_VALUE(JSON '{"a": 5}', '$.a')""": ("STRING", "5"),
    """JSON_QUERY(JSON '{"a": null}', '$.a') IS NULL""": ("BOOL", False),
    "TO_JSON_STRING(7)": ("STRING", "7"),
    "TO_JSON_STRING('a\"b')": ("STRING", '"a\\"b"'),
}


@pytest.mark.parametrize("expression", [key for key, value in VALUES.items() if value])
def test_value(cursor, expression):
    assert evaluate(cursor, f"SELECT {expression}") == VALUES[expression]


AGGREGATES = {
    "SUM(i)": ("INT64", 6),
    "SUM(n)": ("NUMERIC", Decimal("7.5")),
    "SUM(f)": ("FLOAT64", 7.5),
    "AVG(i)": ("FLOAT64", 2.0),
    "AVG(n)": ("NUMERIC", Decimal("2.5")),
    "AVG(DISTINCT i)": ("FLOAT64", 2.0),
    "ROUND(AVG(f), 1)": ("FLOAT64", 2.5),
    "SUM(i) / COUNT(*)": ("FLOAT64", 1.5),
    "COUNT(*) * 100": ("INT64", 400),
    "SUM(i) + 1": ("INT64", 7),
    "MAX(i) - MIN(i)": ("INT64", 2),
    "COUNT(i)": ("INT64", 3),
    "COUNT(DISTINCT s)": ("INT64", 2),
    "COUNTIF(i > 1)": ("INT64", 2),
    "APPROX_COUNT_DISTINCT(s)": ("INT64", 2),
    "MIN(d)": ("DATE", date(2020, 1, 1)),
    "DATE_DIFF(MAX(d), MIN(d), DAY)": ("INT64", 2),
    "STRING_AGG(s ORDER BY i)": ("STRING", "z,a,b,a"),
    "STRING_AGG(s, '-' ORDER BY i DESC)": ("STRING", "a-b-a-z"),
    "ARRAY_AGG(i IGNORE NULLS ORDER BY i DESC)": ("ARRAY<INT64>", [3, 2, 1]),
    "ARRAY_AGG(i IGNORE NULLS ORDER BY i LIMIT 2)": ("ARRAY<INT64>", [1, 2]),
    "ARRAY_AGG(DISTINCT s ORDER BY s)": ("ARRAY<STRING>", ["a", "b", "z"]),
    "ARRAY_LENGTH(ARRAY_AGG(s))": ("INT64", 4),
    "LOGICAL_AND(i > 0)": ("BOOL", True),
    "LOGICAL_OR(i > 2)": ("BOOL", True),
    "ANY_VALUE(7)": ("INT64", 7),
    "UPPER(MAX(s))": ("STRING", "Z"),
    "CAST(SUM(i) AS STRING)": ("STRING", "6"),
    "CAST(COUNT(*) AS FLOAT64)": ("FLOAT64", 4.0),
    "STDDEV_POP(f)": ("FLOAT64", pytest.approx(0.816496580927726)),
    "SAFE_DIVIDE(SUM(i), COUNTIF(i > 10))": ("FLOAT64", None),
}
ROWS = """
(SELECT 1 AS i, NUMERIC '1.5' AS n, 1.5 AS f, 'a' AS s, DATE '2020-01-01' AS d UNION ALL
 SELECT 2, NUMERIC '2.5', 2.5, 'b', DATE '2020-01-02' UNION ALL
 SELECT 3, NUMERIC '3.5', 3.5, 'a', DATE '2020-01-03' UNION ALL
 SELECT NULL, NULL, NULL, 'z', NULL)
"""
AGGREGATES["COUNT(DISTINCT s)"] = ("INT64", 3)
AGGREGATES["APPROX_COUNT_DISTINCT(s)"] = ("INT64", 3)


@pytest.mark.parametrize("expression", [key for key, value in AGGREGATES.items() if value])
def test_aggregate(cursor, expression):
    assert evaluate(cursor, f"SELECT {expression} FROM {ROWS}") == AGGREGATES[expression]


WINDOWS = {
    "ROW_NUMBER() OVER (ORDER BY i)": ("INT64", [1, 2, 3, 4]),
    "RANK() OVER (ORDER BY s)": ("INT64", [4, 1, 3, 1]),
    "SUM(i) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)": ("INT64", [None, 1, 3, 5]),
    "AVG(i) OVER (PARTITION BY s)": ("FLOAT64", [None, 2.0, 2.0, 2.0]),
    "AVG(n) OVER (PARTITION BY s)": (
        "NUMERIC",
        [None, Decimal("2.5"), Decimal("2.5"), Decimal("2.5")],
    ),
    "LAG(i) OVER (ORDER BY i)": ("INT64", [None, None, 1, 2]),
    "LEAD(i, 1, 0) OVER (ORDER BY i)": ("INT64", [1, 2, 3, 0]),
    "FIRST_VALUE(s) OVER (ORDER BY i)": ("STRING", ["z", "z", "z", "z"]),
    "LAST_VALUE(i IGNORE NULLS) OVER (ORDER BY i DESC)": ("INT64", [1, 1, 2, 3]),
    "COUNTIF(i > 1) OVER ()": ("INT64", [2, 2, 2, 2]),
    "SUM(i) OVER () / COUNT(*) OVER ()": ("FLOAT64", [1.5, 1.5, 1.5, 1.5]),
    "PERCENTILE_CONT(f, 0.5) OVER ()": ("FLOAT64", [2.5, 2.5, 2.5, 2.5]),
}


@pytest.mark.parametrize("expression", WINDOWS)
def test_window(cursor, expression):
    sql = f"SELECT ARRAY(SELECT v FROM (SELECT i, {expression} AS v FROM {ROWS}) ORDER BY i)"
    type_, values = WINDOWS[expression]
    assert evaluate(cursor, sql) == (f"ARRAY<{type_}>", values)


ERRORS = {
    "1 / 0": "division by zero: 1 / 0",
    "DIV(1, 0)": "division by zero: 1 / 0",
    "NUMERIC '1' / 0": "division by zero: 1 / 0",
    "CAST('apple' AS INT64)": "Bad int64 value: apple",
    "CAST('1.5' AS INT64)": "Bad int64 value: 1.5",
    "CAST('yes' AS BOOL)": "Bad bool value: yes",
    "CAST('2020/01/01' AS DATE)": "Invalid date: '2020/01/01'",
    "CAST('nope' AS TIMESTAMP)": "Invalid timestamp: 'nope'",
    "[1, 2][OFFSET(2)]": "Array index 2 is out of bounds",
    "SUBSTR('a', 1, -1)": "Third argument in SUBSTR() cannot be negative",
    "ERROR('my own')": "my own",
    "1e300 * 1e300": "double overflow",
    "nothing": "Unrecognized name: nothing",
    "REGEXP_EXTRACT('a', '(a)(b)')": "Regular expression has more than 1 capturing group",
}


@pytest.mark.parametrize("expression", ERRORS)
def test_error(cursor, expression):
    with pytest.raises(ApiError) as raised:
        evaluate(cursor, f"SELECT {expression}")
    assert (raised.value.reason, raised.value.message) == ("invalidQuery", ERRORS[expression])


NAMES = {
    # an alias hides a column of that name in GROUP BY, HAVING and QUALIFY
    "SELECT DATE_TRUNC(d, MONTH) AS d, COUNT(*) AS n FROM t GROUP BY d ORDER BY d": [
        (None, 1), (date(2020, 1, 1), 3)
    ],
    "SELECT SUM(i) AS i FROM t GROUP BY s HAVING i > 3": [(4,)],
    "SELECT s, ROUND(AVG(f), 2) AS a FROM t GROUP BY s HAVING ROUND(AVG(f), 2) > 2 ORDER BY s": [
        ("a", 2.5), ("b", 2.5)
    ],
    "SELECT s, COUNT(*) AS n FROM t GROUP BY s HAVING COUNT(*) * 2 > 2": [("a", 2)],
    "SELECT -i AS i FROM t WHERE i IS NOT NULL ORDER BY i": [(-3,), (-2,), (-1,)],
    "SELECT -i AS i FROM t WHERE i IS NOT NULL ORDER BY i + 1 DESC": [(-1,), (-2,), (-3,)],
    "SELECT s, SUM(i) AS total FROM t GROUP BY ROLLUP (s) ORDER BY total DESC LIMIT 1": [
        (None, 6)
    ],
    # a name that the query itself defines is no table
    "WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS x FROM a) SELECT x FROM b": [(2,)],
    "SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 2) ORDER BY x DESC": [(2,), (1,)],
    # members of structs go by position in set operations
    "SELECT STRUCT(1 AS a).a UNION ALL SELECT 2 ORDER BY 1": [(1,), (2,)],
    "SELECT e.a FROM (SELECT STRUCT(1 AS a) AS e UNION ALL SELECT STRUCT(2)) ORDER BY a": [
        (1,), (2,)
    ],
    "SELECT e FROM (SELECT 1 AS k) LEFT JOIN UNNEST(ARRAY<STRUCT<a INT64>>[]) AS e": [(None,)],
}  # fmt: skip


@pytest.mark.parametrize("sql", NAMES)
def test_names(cursor, sql):
    (statement,) = parse_steps(sql.replace("FROM t ", f"FROM {ROWS} AS t "))
    assert cursor.sql(to_duckdb(statement.tree.copy())).fetchall() == NAMES[sql]


WITH_NAN = [
    "SELECT x > 1 FROM t",
    "SELECT 1 FROM t ORDER BY x",
    "SELECT MAX(x) FROM t",
    "SELECT y FROM (SELECT x + 1 AS y FROM t) WHERE y < 3",
    "SELECT z FROM (SELECT 1.0 AS z UNION ALL SELECT x FROM t) ORDER BY 1",
    "SELECT 1 FROM t JOIN u USING (x)",
]


@pytest.mark.parametrize("sql", WITH_NAN)
def test_comparing_nan_is_refused(sql):
    (statement,) = parse_steps(sql)
    with pytest.raises(ApiError, match="NaN"):
        to_duckdb(statement.tree.copy(), frozenset({"x"}))


@pytest.mark.parametrize("sql", ["SELECT x, n > 1 FROM t", "SELECT SUM(x) FROM t ORDER BY n"])
def test_nan_beside_a_comparison_is_fine(sql):
    (statement,) = parse_steps(sql)
    assert to_duckdb(statement.tree.copy(), frozenset({"x"}))


NOT_SUPPORTED = [
    "ST_GEOGPOINT(1, 2)",
    "BIGNUMERIC '1'",
    "CAST('a' AS STRING(10))",
    "CAST(DATE '2020-01-01' AS STRING FORMAT 'Q')",
    "DATE '2020-01-02' - DATE '2020-01-01'",
    "CONTAINS_SUBSTR('ä', 'Ä')",
    "EDIT_DISTANCE('ä', 'a', max_distance => 1)",
    "FORMAT('%T', b'a')",
    "FORMAT_DATE('%P', DATE '2020-01-01')",
    "SAFE.SUBSTR(CHR(1 + 1), 1)",
    "list_sum([1])",
    "bq_add(1, 2)",
    "read_text('/etc/passwd')",
    "NET.HOST('x')",
    "STRUCT(1 AS a) = (SELECT AS STRUCT 1 AS a)",
    "SAFE_CAST(['1', 'x'] AS ARRAY<INT64>)",
    "COUNTIF(DISTINCT TRUE)",
]


@pytest.mark.parametrize("expression", NOT_SUPPORTED)
def test_what_is_not_supported_says_so(cursor, expression):
    with pytest.raises(ApiError) as raised:
        evaluate(cursor, f"SELECT {expression}")
    assert raised.value.status == 501
