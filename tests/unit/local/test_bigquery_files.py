"""Which files the local BigQuery loads, and what it says of the others."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.files.csv.read import read_csv
from pydag_emulators.bigquery.files.json.read import read_ndjson
from pydag_emulators.bigquery.files.source import Loaded, Source
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.storage.store import Cursor

_TEXTS: list[Field] = [{"name": n, "type": "STRING", "mode": "NULLABLE"} for n in "ab"]


@pytest.fixture
def load(cursor: Cursor, tmp_path: Path) -> Callable[..., tuple[list[str], list[Any]]]:
    def run(
        reader: Callable[[Source], Loaded], content: str, fields: list[Field], **config: Any
    ) -> tuple[list[str], list[Any]]:
        path = tmp_path / "file"
        path.write_bytes(content.encode())
        source = Source(cursor, [(path, "gs://b/file")], config, fields, lambda: None)
        loaded = reader(source)
        types = [f"{field['name']} {field['type']}" for field in loaded.fields]
        rows = cursor.execute(loaded.sql).fetchall()
        assert loaded.finish()[0] == len(rows)
        return types, rows

    return run


@pytest.mark.parametrize(
    ("content", "config", "problem"),
    [
        ('x,"open\ny,z\n', {}, "Missing close quote"),
        ('x,"open\ny,z\n', {"allowQuotedNewlines": True}, "Missing close quote"),
        ('x,"two\nlines"\n', {}, "Missing close quote"),
        ('x,"y"z\n', {}, "Data between close quote"),
        ('x,"a\\"b"\n', {}, "Data between close quote"),
        ("x,y\0\n", {}, "ASCII 0"),
        ("x,'y'z\n", {"quote": "'"}, "Data between close quote"),
        ('x,"a\nb" c\n', {"allowQuotedNewlines": True}, "Data between close quote"),
    ],
)
def test_csv_with_wrong_quotes_is_refused(
    load: Any, content: str, config: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ApiError) as failed:
        load(read_csv, content, _TEXTS, **config)
    assert failed.value.reason == "invalid"
    assert problem in failed.value.details[0]["message"]


@pytest.mark.parametrize(
    ("content", "config", "rows"),
    [
        ('x,"a""b"\n', {}, [("x", 'a"b')]),
        ('x,a"b\n', {}, [("x", 'a"b')]),
        ('x,""\n', {}, [("x", "")]),
        ('x,"two\nlines"\n', {"allowQuotedNewlines": True}, [("x", "two\nlines")]),
        (
            '"a\n""b""\n\nc","d\n"\nx,y\n',
            {"allowQuotedNewlines": True},
            [('a\n"b"\n\nc', "d\n"), ("x", "y")],
        ),
        ('x,"open\n', {"quote": ""}, [("x", '"open')]),
        ('"head\nx,y\n', {"skipLeadingRows": "1"}, [("x", "y")]),
        ('x|"a,b"\n', {"fieldDelimiter": "|"}, [("x", "a,b")]),
        ('x,"y"\r\n', {}, [("x", "y")]),
    ],
)
def test_csv_with_right_quotes(
    load: Any, content: str, config: dict[str, Any], rows: list[Any]
) -> None:
    assert load(read_csv, content, _TEXTS, **config)[1] == rows


def test_rows_with_wrong_quotes_are_not_passed_over(load: Any) -> None:
    with pytest.raises(ApiError) as failed:
        load(read_csv, 'x,"y"z\nx,y\n', _TEXTS, maxBadRecords=1)
    assert failed.value.reason == "notImplemented"


@pytest.mark.parametrize("delimiter", [",", "|", "\t"])
def test_csv_autodetect_finds_the_delimiter(load: Any, delimiter: str) -> None:
    content = "name,count\na,1\nb,2\n".replace(",", delimiter)
    types, rows = load(read_csv, content, [], autodetect=True)
    assert (types, rows) == (["name STRING", "count INTEGER"], [("a", 1), ("b", 2)])


@pytest.mark.parametrize(
    ("content", "types"),
    [
        ('{"x": "1"}', ["x INTEGER"]),
        ('{"x": "1"}\n{"x": 2.5}', ["x FLOAT"]),
        ('{"x": 1, "y": null, "z": []}', ["x INTEGER"]),
        ('{"x": "1_000"}', ["x STRING"]),
        ('{"x": true}', ["x BOOLEAN"]),
        ('{"x": "2024-01-31"}', ["x DATE"]),
        ('{"x": "007a"}', ["x STRING"]),
    ],
)
def test_json_autodetect(load: Any, content: str, types: list[str]) -> None:
    assert load(read_ndjson, content, [], autodetect=True)[0] == types


def test_a_json_field_that_the_schema_lacks_is_refused_even_if_it_is_null(load: Any) -> None:
    with pytest.raises(ApiError) as failed:
        load(read_ndjson, '{"a": "x", "c": null}', _TEXTS)
    assert "No such field: c" in failed.value.details[0]["message"]


@pytest.mark.parametrize("type_", ["STRING", "JSON", "INTEGER"])
def test_half_of_a_pair_is_no_character_and_long_values_are_not_told_whole(
    load: Any, type_: str
) -> None:
    fields = [{"name": "a", "type": type_, "mode": "NULLABLE"}]
    content = '{"a": "\\ud800%s"}' % ("x" * 5000)
    with pytest.raises(ApiError) as failed:
        load(read_ndjson, content, fields)
    told = failed.value.details[0]["message"]
    assert "Field: a; Value: \\ud800xxx" in told
    assert len(told.encode()) < 1500


# https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json#data_types and, of
# numbers, https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv#data_types
_MOMENTS: list[tuple[str, float | None]] = [
    ("2018/08/19 12:11:00", 1534680660),
    ("2018-08-19 12:11:00.5 UTC", 1534680660.5),
    ("2018-08-19T14:11:00+02:00", 1534680660),
    ("2018-08-19 12:11:00Z", 1534680660),
    ("2018-08-19", 1534636800),
    ("1534680660", 1534680660),
    ("1534680660.5", 1534680660.5),
    ("1.5346806605E9", 1534680660.5),
    ("-1", -1),
    ("0.000001", 0.000001),
    ("0.1234567", 0.123457),
    ("-62135596800", -62135596800),
    ("253402300799", 253402300799),
    ("253402300800", None),
    ("-62135596801", None),
    ("1e99", None),
    ("1534680660000", None),
    ("NaN", None),
    ("x", None),
    ("08/19/2018 12:11:00", None),
]
_MOMENT = [{"name": "t", "type": "TIMESTAMP", "mode": "NULLABLE"}]


def _seconds(load: Any, reader: Any, content: str) -> float | None:
    try:
        _, rows = load(reader, content, _MOMENT)
    except ApiError:
        return None
    since: timedelta = rows[0][0] - datetime(1970, 1, 1, tzinfo=UTC)
    return since / timedelta(seconds=1)


@pytest.mark.parametrize(("text", "seconds"), _MOMENTS)
def test_moments_in_files(load: Any, text: str, seconds: float | None) -> None:
    assert _seconds(load, read_csv, f"{text}\n") == seconds
    assert _seconds(load, read_ndjson, f'{{"t": "{text}"}}') == seconds
    if re.fullmatch(r"-?[0-9.]+([eE][0-9]+)?", text):
        assert _seconds(load, read_ndjson, f'{{"t": {text}}}') == seconds


def test_csv_moments_may_leave_out_the_seconds(load: Any) -> None:
    assert _seconds(load, read_csv, "2018-08-19 12:11\n") == 1534680660


def test_json_numbers_keep_their_digits(load: Any) -> None:
    fields = [{"name": "n", "type": "NUMERIC", "mode": "NULLABLE"}]
    digits = "12345678901234567890123456789.123456789"
    _, rows = load(read_ndjson, f'{{"n": {digits}}}\n{{"n": "{digits}"}}', fields)
    assert [str(row[0]) for row in rows] == [digits, digits]


def test_a_delimiter_of_several_bytes_is_refused(load: Any) -> None:
    with pytest.raises(ApiError, match="field delimiters"):
        load(read_csv, 'x§"y"\n', _TEXTS, fieldDelimiter="§")
