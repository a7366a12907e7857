"""Files of extracts, beside ones that Python's own writers make of the same rows."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import math
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.files.arrow import arrow_type
from pydag_emulators.bigquery.files.exports.export import export
from pydag_emulators.bigquery.names import quote
from pydag_emulators.bigquery.schema import Field, duck_type
from pydag_emulators.bigquery.storage.store import Cursor

_DEFAULTS = {"compression": "NONE", "fieldDelimiter": ",", "printHeader": True}
_FIRST, _LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001
_CIVIL = st.datetimes(_FIRST, _LAST)
_ODD = st.text(st.sampled_from('a,;"\\/\n\r\t\x00\x1f\x7f é\u2028😀[]-^'), max_size=6)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "STRING": _ODD | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    "INTEGER": st.integers(-(2**63), 2**63 - 1),
    "FLOAT": st.floats(),
    "BOOLEAN": st.booleans(),
    "NUMERIC": st.decimals(-(10**28), 10**28, places=9),
    "BYTES": st.binary(max_size=6),
    "DATE": st.dates(),
    "TIME": st.times() | st.times().map(lambda at: at.replace(microsecond=0)),
    "DATETIME": _CIVIL | _CIVIL.map(lambda at: at.replace(microsecond=500_000)),
    "TIMESTAMP": _CIVIL.map(lambda at: at.replace(tzinfo=UTC))
    | _CIVIL.map(lambda at: at.replace(microsecond=0, tzinfo=UTC)),
}


def _field(name: str, type_: str, mode: str = "NULLABLE", **more: Any) -> Field:
    return {"name": name, "type": type_, "mode": mode, **more}


_FLAT = [_field(type_.lower(), type_) for type_ in _VALUES]
_INNER = [_field("x y", "STRING"), _field("many", "FLOAT", "REPEATED"), _field("at", "TIMESTAMP")]
_NESTED = [
    *_FLAT,
    _field("texts", "STRING", "REPEATED"),
    _field("record", "RECORD", fields=[*_INNER, _field("deep", "RECORD", fields=_INNER)]),
    _field("records", "RECORD", "REPEATED", fields=_INNER),
]


def _values(field: Field) -> st.SearchStrategy[Any]:
    one = _rows(field["fields"]) if field["type"] == "RECORD" else _VALUES[field["type"]]
    return st.lists(one, max_size=3) if field["mode"] == "REPEATED" else st.none() | one


def _rows(fields: list[Field]) -> st.SearchStrategy[dict[str, Any]]:
    columns = {field["name"]: _values(field) for field in fields}
    return st.fixed_dictionaries(columns).map(lambda row: {name: row[name] for name in columns})


# -- what is right ------------------------------------------------------------------------------


def _float(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _moment(value: datetime) -> str:
    is_civil = value.tzinfo is None
    text = value.replace(tzinfo=None).isoformat(sep="T" if is_civil else " ")
    return text if is_civil else f"{text} UTC"


_TEXTS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    str: str,
    int: str,
    bool: lambda value: str(value).lower(),
    float: _float,
    Decimal: lambda value: f"{value:.9f}".rstrip("0").rstrip("."),
    bytes: lambda value: base64.b64encode(value).decode(),
    date: date.isoformat,
    time: time.isoformat,
    datetime: _moment,
}


def _text(value: Any) -> str:
    return _TEXTS[type(value)](value)


def _csv(rows: list[dict[str, Any]], delimiter: str) -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    for row in rows:
        texts = [_text(value) for value in row.values()]
        marked = [text.replace("\r", "\n\r") for text in texts]  # so that it is quoted: see below
        writer.writerow(marked)
    return file.getvalue().replace("\n\r", "\r")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _text(value)


# -- tests --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out") / "file"


def _exported(
    cursor: Cursor, path: Path, fields: list[Field], rows: list[dict[str, Any]], **config: Any
) -> bytes:
    schema = pa.schema([(field["name"], arrow_type(field)) for field in fields])
    cursor.register("given", pa.Table.from_pylist(rows, schema))
    columns = ", ".join(
        f"CAST({quote(f['name'])} AS {duck_type(f)}) AS {quote(f['name'])}" for f in fields
    )
    count = export(cursor, f"(SELECT {columns} FROM given)", fields, _DEFAULTS | config, path)
    assert count == len(rows)
    return path.read_bytes()


_ANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_ANY
@given(rows=st.lists(_rows(_FLAT), max_size=5), delimiter=st.sampled_from(",|\t;^]-.0"))
def test_csv_is_as_python_writes_it(
    cursor: Cursor, path: Path, rows: list[dict[str, Any]], delimiter: str
) -> None:
    options = {"destinationFormat": "CSV", "fieldDelimiter": delimiter, "printHeader": False}
    assert _exported(cursor, path, _FLAT, rows, **options).decode() == _csv(rows, delimiter)


@settings(_ANY, max_examples=20)
@given(rows=st.lists(_rows(_NESTED), max_size=6))
def test_json_is_as_python_writes_it(
    cursor: Cursor, path: Path, rows: list[dict[str, Any]]
) -> None:
    data = _exported(cursor, path, _NESTED, rows, destinationFormat="NEWLINE_DELIMITED_JSON")
    lines = data.decode().removesuffix("\n").split("\n") if data else []
    # Only \u001F and \u001f may differ.
    found = [json.dumps(json.loads(line), ensure_ascii=False) for line in lines]
    assert found == [json.dumps(_plain(row), ensure_ascii=False) for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert (
            line.lower()
            == json.dumps(_plain(row), ensure_ascii=False, separators=(",", ":")).lower()
        )


def test_a_row_of_one_empty_value_is_not_an_empty_line(cursor: Cursor, path: Path) -> None:
    field = _field("a", "STRING")
    rows: list[dict[str, Any]] = [{"a": None}, {"a": ""}, {"a": "x"}]
    assert _exported(cursor, path, [field], rows, destinationFormat="CSV") == b'a\n""\n""\nx\n'


def test_more_rows_than_are_written_at_once(cursor: Cursor, path: Path) -> None:
    rows = [{"i": number, "s": "x" * (number % 7)} for number in range(10_001)]
    fields = [_field("i", "INTEGER"), _field("s", "STRING")]
    options = {"destinationFormat": "CSV", "compression": "GZIP"}
    data = gzip.decompress(_exported(cursor, path, fields, rows, **options))
    assert data.decode() == "i,s\n" + _csv(rows, ",")


@pytest.mark.parametrize("delimiter", ["ab", ""])
def test_a_delimiter_is_one_character(cursor: Cursor, path: Path, delimiter: str) -> None:
    options = {"destinationFormat": "CSV", "fieldDelimiter": delimiter}
    with pytest.raises(ApiError, match="Invalid field delimiter"):
        _exported(cursor, path, [_field("a", "STRING")], [], **options)


def test_an_error_in_a_later_row_is_that_of_duckdb(cursor: Cursor, path: Path) -> None:
    query = (
        "(SELECT CASE WHEN i < 500000 THEN i ELSE bq_fail('late') END AS i FROM range(500001) r(i))"
    )
    with pytest.raises(duckdb.ConversionException, match="bq: late"):
        export(
            cursor, query, [_field("i", "INTEGER")], _DEFAULTS | {"destinationFormat": "CSV"}, path
        )


def test_an_extract_that_is_interrupted_ends_with_the_interrupt(cursor: Cursor, path: Path) -> None:
    endless = "(SELECT i FROM range(1000000000000) r(i))"
    ended = threading.Event()

    def interrupt() -> None:
        while not ended.wait(0.05):  # DuckDB forgets one that comes before the query
            cursor.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(duckdb.InterruptException):
        export(
            cursor,
            endless,
            [_field("i", "INTEGER")],
            _DEFAULTS | {"destinationFormat": "CSV"},
            path,
        )
    ended.set()
    thread.join()
