"""Loads read most files by fast parsers: random files give what the slow, exact rules give."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from struct import unpack
from typing import Any

import pyarrow as pa
import pytest

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.files.arrow import _Stream, arrow_schema, arrow_type
from pydag_emulators.bigquery.files.csv import blocks as csv_blocks
from pydag_emulators.bigquery.files.csv.quotes import Quotes, right_rows, wrong_rows
from pydag_emulators.bigquery.files.csv.read import read_csv
from pydag_emulators.bigquery.files.csv.rows import Rows
from pydag_emulators.bigquery.files.json import plain
from pydag_emulators.bigquery.files.json.read import read_ndjson
from pydag_emulators.bigquery.files.source import Loaded, Source
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.storage.contents import rows_and_bytes
from pydag_emulators.bigquery.storage.store import Cursor

_FILES = 60
_Make = Callable[[Random], str]
_MOMENTS = [
    "2024-01-31", "2024-1-3", "0001-01-01", "0000-01-01", "9999-12-31", "10000-01-01",
    "2024/01/31", "2023-02-29", " 2024-01-31 ", "20240131",
]  # fmt: skip
_CLOCKS = [
    "", " 12:30:00", "T12:30:00.5", " 12:30", " 24:00:00", " 1:2:3", " 12", " 12:30:60",
    "t12:30:00", " 12:30:00.1234567",
]  # fmt: skip
_ZONES = ["", "Z", " UTC", "+00", "+02:00", "-0530", " Europe/Paris", " X"]
_INTEGERS = ["0x1F", "-0x1", "0xFFFFFFFFFFFFFFFF", "1.0", " 7 ", "9223372036854775808", "007", "+5"]
_FLOATS = ["inf", "-Infinity", "nan", "-nan", "1e400", "1e-400", "1d", "0x1p3", "1.", "-0"]
_NUMERICS = ["1.0000000005", "1e3", "1e28", "1e29", "123.4567891239", "NaN", ".5", "5.", "9" * 29]


def _digits(r: Random) -> str:
    return "".join(r.choices("0123456789.-+eEx_ ", k=r.randrange(8)))


def _any(*makers: _Make | list[str]) -> _Make:
    def make(r: Random) -> str:
        maker = r.choice(makers)
        return r.choice(maker) if isinstance(maker, list) else maker(r)

    return make


def _moment(r: Random) -> str:
    return str(datetime(1, 1, 1) + timedelta(microseconds=r.randrange(315_537_897_599_999_999)))  # noqa: DTZ001


def _odd_moment(r: Random) -> str:
    return r.choice(_MOMENTS) + r.choice(_CLOCKS) + r.choice(_ZONES)


_WRITTEN: dict[str, _Make] = {
    "STRING": lambda r: "".join(r.choices("a'é \t;", k=r.randrange(5))),
    "INTEGER": _any(lambda r: str(r.randint(-(2**70), 2**70)), lambda r: str(r.randint(-9, 9)),
                    _digits, _INTEGERS),
    "FLOAT": _any(lambda r: repr(unpack("d", r.randbytes(8))[0]), _digits, _FLOATS),
    "NUMERIC": _any(lambda r: str(Decimal(r.randint(-(10**39), 10**39)).scaleb(-9)), _digits,
                    _NUMERICS),
    "BOOLEAN": _any(["true", "FALSE", "t", "Yes", "0", "1", "2", " true", "tr"]),
    "DATE": _any(lambda r: _moment(r)[:10], _odd_moment, _MOMENTS, _digits),
    "TIME": _any(lambda r: _moment(r)[11:], lambda r: r.choice(_CLOCKS).strip(), _CLOCKS),
    "DATETIME": _any(_moment, _odd_moment),
    "TIMESTAMP": _any(_moment, _odd_moment, _digits),
    "BYTES": _any(["aGk=", "aGk", "!", "aGk= ", "aG\nk="]),
    "JSON": _any(['{"a":1}', "[1", "null", "1.10", '"x"']),
}  # fmt: skip


def _field(name: str, type_: str, mode: str = "NULLABLE", **more: Any) -> Field:
    return {"name": name, "type": type_, "mode": mode, **more}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("in") / "file"


Result = tuple[Any, list[str], Any]


@pytest.fixture
def load(cursor: Cursor, path: Path) -> Callable[..., Result]:
    """The rows, what is said of bad ones, in any order, and the logical bytes; or the error."""

    def run(
        reader: Callable[[Source], Loaded], data: bytes, fields: list[Field], config: dict[str, Any]
    ) -> Result:
        path.write_bytes(data)
        source = Source(cursor, [(path, "gs://b/file")], config, fields, lambda: None)
        loaded = reader(source)
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE loaded AS {loaded.sql}")
        try:
            counted = loaded.finish()
        except ApiError as error:
            return str(error), sorted(one["message"] for one in error.details), None
        assert counted == rows_and_bytes(cursor, "FROM loaded", loaded.fields)
        rows = sorted(cursor.execute("FROM loaded").fetchall(), key=repr)
        return repr(rows), sorted(one["message"] for one in loaded.errors), counted

    return run


# -- CSV ----------------------------------------------------------------------------------------


def _csv_file(r: Random) -> tuple[list[Field], bytes, dict[str, Any]]:
    types = r.choices(list(_WRITTEN), k=r.randint(1, 4))
    modes = r.choices(["NULLABLE", "REQUIRED"], [3, 1], k=4)
    fields = [
        _field(f"f{at}", type_, mode)
        for at, (type_, mode) in enumerate(zip(types, modes, strict=False))
    ]
    config = {
        "allowQuotedNewlines": r.random() < 0.5,
        "allowJaggedRows": r.random() < 0.5,
        "ignoreUnknownValues": r.random() < 0.5,
        "nullMarker": r.choice(["", "NA"]),
        "skipLeadingRows": r.randint(0, 2),
        "maxBadRecords": r.choice([0, 1, 100]),
    }
    is_rough = r.random() < 0.5
    text = ""
    for _ in range(r.randrange(9)):
        cells = [_cell(r, type_, is_rough) for type_ in types]
        if is_rough and r.random() < 0.2:
            cells = r.choice([cells[:-1], [*cells, "more"]])
        text += ",".join(cells) + (r.choice(["\n", "\r\n", "\n\n"]) if is_rough else "\n")
    if r.random() < 0.3:
        text = text.removesuffix("\n")
    return fields, text.encode(), config


def _cell(r: Random, type_: str, is_rough: bool) -> str:
    text = _WRITTEN[type_](r)
    if r.random() < 0.1:
        return r.choice(["", "NA", '""', " "])
    if r.random() < 0.3:
        inner = r.choice(["", "", '""', "\n", ","]) if is_rough else ""
        return f'"{text.replace(chr(34), chr(34) * 2)}{inner}"'
    return text


def test_csv_is_read_as_the_exact_rules_say(load: Callable[..., Result]) -> None:
    for seed in range(_FILES):
        r = Random(seed)
        fields, data, config = _csv_file(r)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_blocks, "_BLOCK", r.choice([16, 64, 1 << 20]))
            found = load(read_csv, data, fields, config)
            patch.setattr(Rows, "_straight", lambda *_: None)
            patch.setattr(csv_blocks, "_BLOCK", 1 << 20)
            assert found == load(read_csv, data, fields, config), seed


@pytest.mark.parametrize("newlines", [True, False])
def test_rows_with_right_quotes_are_found_at_once(path: Path, newlines: bool) -> None:
    quotes = Quotes(",", '"', newlines)
    rows = right_rows(quotes)
    for seed in range(300):
        r = Random(seed)
        data = "".join(r.choices('ab,""\n\n\r', k=r.randrange(40))).encode()
        path.write_bytes(data)
        wrong = list(wrong_rows(path, quotes, 0, lambda: None))
        ended = data if data.endswith(b"\n") or not data else data + b"\n"
        match = rows.match(ended)
        assert match is not None
        assert (match.end() == len(ended)) == (not wrong), seed


# -- JSON ---------------------------------------------------------------------------------------

_SCALARS = [
    _field(f"f_{type_.lower()}", type_) for type_ in _WRITTEN if type_ not in ("BYTES", "JSON")
]
_INNER = [
    *_SCALARS[:4],
    _field("many", "INTEGER", "REPEATED"),
    _field("must", "STRING", "REQUIRED"),
]
_NESTED = [
    _field("id", "INTEGER", "REQUIRED"),
    *_SCALARS,
    _field("days", "DATE", "REPEATED"),
    _field("one", "RECORD", fields=[*_INNER, _field("deep", "RECORD", fields=_INNER)]),
    _field("several", "RECORD", "REPEATED", fields=_INNER),
]
_PLAIN: dict[str, Callable[[Random], Any]] = {
    "STRING": lambda r: "".join(r.choices('aé"\\/\n\t\x1f😀', k=r.randrange(4))),
    "INTEGER": lambda r: r.randint(-(2**63), 2**63 - 1),
    "FLOAT": lambda r: r.choice([r.uniform(-1e3, 1e3), r.randint(-(2**70), 2**70), 5e-324, 1e300]),
    "NUMERIC": lambda r: r.choice([r.randint(-(10**20), 10**20), 1e29, 1e40, 1e22, 0.5]),
    "BOOLEAN": lambda r: r.random() < 0.5,
    "DATE": lambda r: _moment(r)[:10],
    "TIME": lambda r: _moment(r)[11:],
    "DATETIME": _moment,
    "TIMESTAMP": lambda r: f"{_moment(r)} UTC",
}


def _object(r: Random, fields: list[Field], rough: float) -> dict[str, Any]:
    made = {}
    for field in fields:
        if field["mode"] != "REQUIRED" and r.random() < 0.25:
            if r.random() < 0.5:
                made[field["name"]] = None
            continue
        name = field["name"].upper() if r.random() < rough / 8 else field["name"]
        made[name] = _json_value(r, field, rough)
    if r.random() < rough / 8:
        made[r.choice(["more", "ID"])] = r.choice([None, 1, "x", []])
    return made


def _json_value(r: Random, field: Field, rough: float) -> Any:
    if r.random() < rough / 8:
        return r.choice([None, 1, 1.5, "x", True, [], [None], {}, 10**30])
    if field["mode"] == "REPEATED":
        one = {**field, "mode": "REQUIRED"}
        return [_json_value(r, one, rough) for _ in range(r.randrange(3))]
    if field["type"] == "RECORD":
        return _object(r, field["fields"], rough)
    return (_WRITTEN if r.random() < rough else _PLAIN)[field["type"]](r)


def _line(given: Any) -> bytes:
    return json.dumps(given, ensure_ascii=False).encode()


_ODD_LINES = [
    b"", b"[]", b"{", b'{"id":1} {"id":2}', b'{"id":\n1}', b' {"id":1}', b'{"id":1}\r',
    b'{"id":NaN}',
    b'{"id":1,"id":2}', b'{"id":1,"f_float":NaN}', b'{"id":1,"f_float":Inf}', b'{"id":1,"x":Inf}',
    b'{"id":1,"f_string":"\xff"}', b'{"id":1,"f_float":1e400}', b'{"id":1,"f_numeric":1.10}',
    b'{"id":1,"f_string":"a\\u0000\\n"}', b'{"id":01}', b'{"id":1,"f_numeric":"1e29"}',
    b'{"id":1,"f_numeric":99999999999999999999999999999.999999999}', b"\xef\xbb\xbf{}",
    b'{"id":"1"}',
]  # fmt: skip


def _json_file(r: Random) -> bytes:
    rough = r.choice([0, 0, 0.02, 0.3])
    lines = [_line(_object(r, _NESTED, rough)) for _ in range(r.randint(1, 4))]
    if r.random() < rough:
        lines.insert(r.randint(0, len(lines)), r.choice(_ODD_LINES))
    return b"\n".join(lines) + r.choice([b"", b"\n"])


def test_json_is_read_as_the_exact_rules_say(load: Callable[..., Result]) -> None:
    for seed in range(_FILES):
        r = Random(seed)
        data = _json_file(r)
        config = {"ignoreUnknownValues": r.random() < 0.5, "maxBadRecords": r.choice([0, 100])}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plain, "_BLOCK", r.choice([64, 1 << 20]))
            found = load(read_ndjson, data, _NESTED, config)
            patch.setattr(plain.Plain, "read", lambda *_: None)
            patch.setattr(plain, "_BLOCK", 1 << 20)
            assert found == load(read_ndjson, data, _NESTED, config), seed


@pytest.mark.parametrize("line", _ODD_LINES)
def test_odd_lines_of_json(load: Callable[..., Result], line: bytes) -> None:
    data = b'{"id":7}\n' + line + b"\n" + b'{"id":8}\n'
    for ignores in (False, True):
        config = {"ignoreUnknownValues": ignores, "maxBadRecords": 100}
        found = load(read_ndjson, data, _NESTED, config)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plain.Plain, "read", lambda *_: None)
            assert found == load(read_ndjson, data, _NESTED, config)


# -- neither of them would be noticed if everything was left to the exact rules -----------------


def test_what_is_written_plainly_is_read_at_once(
    load: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [field for field in _SCALARS if field["type"] != "TIME"]
    values = {"f_string": "a", "f_integer": 1, "f_float": 1.5, "f_numeric": 2.5, "f_boolean": True,
              "f_date": "2024-01-31", "f_datetime": "2024-01-31 12:00:00",
              "f_timestamp": "2024-01-31 12:00:00 UTC"}  # fmt: skip
    monkeypatch.setattr(Rows, "_exact", None)
    monkeypatch.setattr("pydag_emulators.bigquery.files.json.read._objects", None)
    texts = [json.dumps(value).strip('"') for value in values.values()]
    csv_file = (",".join(texts) + "\n").encode()
    rows, _, counted = load(read_csv, csv_file, fields, {})
    assert "2.500000000" in rows
    assert load(read_ndjson, _line(values), fields, {}) == (rows, [], counted)
    exported = values | {"f_integer": "1", "f_numeric": "2.5"}  # as BigQuery's own extracts are
    assert load(read_ndjson, _line(exported), fields, {}) == (rows, [], counted)


def test_while_a_table_is_stored_no_more_than_the_next_ones_are_made() -> None:
    fields = [_field("a", "INTEGER")]
    made = 0

    def tables() -> Iterator[pa.Table]:
        nonlocal made
        for made in range(1, 21):
            yield pa.table({"a": [made]}, arrow_schema(fields))

    stream = _Stream(tables(), fields)
    for stored, batch in enumerate(stream.batches(), 1):
        assert batch.to_pylist() == [{"a": stored}]
        assert made <= stored + 1
    assert stream.finish() == (20, 160)


def test_types_of_arrow_are_those_of_the_columns() -> None:
    assert str(arrow_type(_NESTED[-1])).startswith("list<item: struct<f_string: string")
