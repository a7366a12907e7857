"""Databases of earlier versions become those of this one, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from pydag_dist.errors import HistoryError
from pydag_dist.history import History
from pydag_dist.history.database import connect
from pydag_dist.history.migrations import upgrade
from pydag_dist.history.tables import SCHEMA, VERSION_TABLE, meta, metadata
from tests.contract.test_history import task, write
from tests.support.postgres_server import PostgresServer

FIRST = Path(__file__).with_name("first_history.sql").read_text()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        (tmp_path / "history.sqlite").touch()
        return f"sqlite:///{tmp_path}/history.sqlite"
    server: PostgresServer = request.getfixturevalue("server")
    return server.new_database()


@pytest.fixture
def first(url: str) -> str:
    """A database of the first version."""
    engine = connect(url)
    text = FIRST
    if engine.dialect.name == "sqlite":
        text = text.replace("DOUBLE PRECISION", "DOUBLE")
    with engine.begin() as connection:
        for statement in text.split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()
    return url


def differences(url: str) -> list[str]:
    """What a database has otherwise than `tables.py` says."""
    engine = connect(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        found = [repr(each) for each in compare_metadata(context, metadata)]
    engine.dispose()
    return found


def texts(options: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items()}


def shape(engine: sa.Engine) -> dict[str, object]:
    """Columns, keys and indexes of all tables, whatever their order; and which step they are of."""
    inspector = sa.inspect(engine)
    with engine.connect() as connection:
        steps = connection.scalars(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).all()
    found: dict[str, object] = {"steps": steps}
    for table in inspector.get_table_names():
        columns = [
            {**column, "type": str(column["type"])} for column in inspector.get_columns(table)
        ]
        indexes = [
            {**index, "dialect_options": texts(index.get("dialect_options", {}))}
            for index in inspector.get_indexes(table)
        ]
        found[table] = [
            sorted(columns, key=lambda column: column["name"]),
            sorted(indexes, key=lambda index: str(index["name"])),
            inspector.get_pk_constraint(table),
            inspector.get_unique_constraints(table),
            inspector.get_foreign_keys(table),
        ]
    return found


def test_a_new_database_is_as_all_steps_together_make_it(
    url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with History(url) as history:
        history.open()
    at_once = connect(url)
    other = f"sqlite:///{tmp_path}/steps.sqlite"
    if at_once.dialect.name == "postgresql":
        other = request.getfixturevalue("server").new_database()
    else:
        (tmp_path / "steps.sqlite").touch()
    step_by_step = connect(other)
    with step_by_step.begin() as connection:
        upgrade(connection, meta)
    assert shape(at_once) == shape(step_by_step)
    assert differences(url) == differences(other) == []
    for engine in (at_once, step_by_step):
        engine.dispose()


def test_the_first_version_s_database_becomes_this_one_s(first: str) -> None:
    assert differences(first) != []
    with History(first) as history:
        assert history.open() == "its own id"
        assert (history.epoch(), history.beats(), history.unfinished()) == ("an epoch", 7, ["r"])
        (old,) = history.past("r").tries
        assert (old.task_id, old.try_number, old.result) == ("a", 2, "5")
        assert (old.pushes, old.reason) == (None, None)
        write(history, task("12-0", "b", 1, "failed", pushes="3", reason="poison"))
        new = {each.task_id: each for each in history.past("r").tries}["b"]
        assert (new.pushes, new.reason) == (3, "poison")
        assert history.open() == "its own id"  # there is nothing left to do
        history.check()
    assert differences(first) == []


def test_several_coordinators_may_be_the_first_of_a_new_version(first: str) -> None:
    def open_it(_: int) -> str:
        with History(first) as history:
            return history.open()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(open_it, range(4))) == {"its own id"}
    assert differences(first) == []


def test_a_step_that_breaks_off_leaves_the_database_as_it_was(first: str) -> None:
    engine = connect(first)
    before = differences(first)

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def break_off(_connection, _cursor, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE pydag_meta"):
            raise RuntimeError("killed")

    try:
        with History(first) as history, pytest.raises(RuntimeError, match="killed"):
            history.open()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", break_off)
    assert differences(first) == before
    assert VERSION_TABLE not in sa.inspect(engine).get_table_names()
    engine.dispose()
    with History(first) as history:
        assert history.open() == "its own id"


def test_a_reader_says_who_brings_an_older_database_up_to_date(first: str) -> None:
    with (
        History(first) as history,
        pytest.raises(HistoryError, match=f"schema 1, this version reads {SCHEMA}: a coordinator"),
    ):
        history.check()
