"""The history keeps what events say, on SQLite and on a real PostgreSQL server alike."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pydag_dist.engine import RunFilter, RunSnapshot, RunSummary, TaskSnapshot
from pydag_dist.errors import HistoryError, InvalidSettings
from pydag_dist.history import LOST, History, batch_of
from pydag_dist.history.batch import entry_id
from pydag_dist.history.database import connect
from pydag_dist.history.tables import SCHEMA, dags, meta
from pydag_dist.settings import Settings
from tests.support.documents import all_blocks
from tests.support.postgres_server import PostgresServer

HEAD = {
    "dag_id": "d",
    "submitted_at": "1000000",
    "started_at": "2500000",
    "params": '{"k": 1}',
    "logical_date": "2026-01-02T03:04:05+00:00",
    "processors": "4",
    "total": "2",
    "failures": "1",
    "enqueued/coordinator": "1",
    "enqueued/chord": "3",
}
DAG = '{"dag_id": "d", "tasks": []}'


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes URLs of empty databases."""
    if request.param == "sqlite":
        names = iter(range(100))
        return lambda: f"sqlite:///{tmp_path}/home/history{next(names)}.sqlite"
    server: PostgresServer = request.getfixturevalue("server")
    return server.new_database


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
def history(url: str) -> Iterator[History]:
    with History(url) as history:
        history.open()
        yield history


def run(event: str, state: str, run_id: str = "r", **more: str):
    return event, {"kind": "run", "run": run_id, "state": state, "at": "9000000", **more}


def task(event: str, name: str, number: int, state: str, run_id: str = "r", **more: str):
    fields = {"kind": "task", "run": run_id, "task": name, "try": str(number), "state": state}
    return event, {**fields, "at": "8000000", **more}


def write(history: History, *entries, head=HEAD, runs=("r",), dag=DAG):
    history.write(batch_of(entries, dict.fromkeys(runs, head), dict.fromkeys(runs, dag)))


def test_a_run_and_its_tries_come_back_as_they_were(history: History) -> None:
    write(
        history,
        run("1-0", "queued"),
        run("2-0", "running"),
        task("3-0", "a", 1, "up_for_retry", error="no\0luck", started_at="5000000"),
        task(
            "4-0",
            "a",
            2,
            "success",
            ready_at="1000001",
            queued_at="2000002",
            started_at="3000003",
            ended_at="1763835000123457",
            worker="w1@h",
            result='{"x": "\\u0000"}',
            skips="c d",
        ),
        task("4-1", "b", 1, "failed", error="boom"),
        run("4-2", "failed", reason="timeout", error="late"),
    )
    assert history.snapshot("r") == RunSnapshot(
        run_id="r",
        dag_id="d",
        state="failed",
        logical_date="2026-01-02T03:04:05+00:00",
        submitted_at=1.0,
        started_at=2.5,
        ended_at=9.0,
        error="late",
        enqueued={"coordinator": 1, "chord": 3, "tick": 0},
        tasks={
            "a": TaskSnapshot(
                state="success",
                try_number=2,
                ready_at=1.000001,
                queued_at=2.000002,
                started_at=3.000003,
                ended_at=1763835000.123457,
                worker="w1@h",
                result={"x": "\0"},
            ),
            "b": TaskSnapshot("failed", 1, None, None, None, None, None, error="boom"),
        },
        reason="timeout",
    )
    counts = {"total": 2, "ended": 2, "active": 0, "failed": 1}
    assert history.runs() == [
        RunSummary(
            run_id="r",
            dag_id="d",
            state="failed",
            logical_date="2026-01-02T03:04:05+00:00",
            submitted_at=1.0,
            started_at=2.5,
            ended_at=9.0,
            counts=counts,
        )
    ]
    past = history.past("r")
    assert past is not None
    assert (past.dag, past.head, past.planned) == (DAG, HEAD, True)
    assert {t.task_id: (t.try_number, t.skips) for t in past.tries} == {
        "a": (2, "c d"),
        "b": (1, None),
    }


def test_the_result_of_an_expanded_task_is_the_list_of_its_children_s(history: History) -> None:
    write(
        history,
        run("1-0", "queued"),
        task(
            "2-0", "names", 1, "success", result='["x", "y"]', expansions="each 2 other 0 third 2"
        ),
        task("3-0", "each", 1, "expanding"),
        task("4-0", "each.0", 1, "failed"),
        task("4-1", "each.1", 1, "success", result='"Y"'),
        task("5-0", "each", 1, "failed", ready_at="1000000"),
        task("5-1", "other", 1, "skipped", ready_at="1000000"),
        task("5-2", "third", 1, "upstream_failed"),
    )
    snapshot = history.snapshot("r")
    assert snapshot is not None
    results = {name: found.result for name, found in snapshot.tasks.items()}
    assert results == {
        "names": ["x", "y"],
        "each": [None, "Y"],
        "each.0": None,
        "each.1": "Y",
        "other": None,  # there was nothing to expand over
        "third": None,  # it never ran
    }


def test_what_it_does_not_have_is_none(history: History) -> None:
    assert history.snapshot("r") is None
    assert history.past("r") is None
    assert history.runs() == []
    assert history.unfinished() == []
    assert history.last_event() == 0


def test_an_older_event_never_overwrites_a_newer_one(history: History) -> None:
    write(history, run("1-0", "queued"), run("5-0", "failed"), task("4-0", "a", 1, "failed"))
    write(history, run("3-0", "running"), task("3-0", "a", 1, "up_for_retry"))
    snapshot = history.snapshot("r")
    assert snapshot is not None
    assert (snapshot.state, snapshot.tasks["a"].state) == ("failed", "failed")
    write(history, run("10-0", "running"), task("10-0", "a", 1, "success"))
    snapshot = history.snapshot("r")
    assert snapshot is not None
    assert (snapshot.state, snapshot.tasks["a"].state) == ("running", "success")
    assert snapshot.ended_at is None


def test_batches_written_twice_and_out_of_order_end_as_the_last_event_of_each_row(
    new_url: Callable[[], str],
) -> None:
    chance = random.Random(1)
    states = ["up_for_retry", "expanding", "success", "failed"]
    entries = [run("1-0", "queued")]
    wanted = {}
    for number in range(2, 400):
        name, number_of_try = f"t{chance.randrange(20)}", chance.randint(1, 3)
        state = chance.choice(states)
        entries.append(task(f"{number}-{chance.randrange(3)}", name, number_of_try, state))
        wanted[name, number_of_try] = state
    newest = {fields["task"]: int(fields["try"]) for _, fields in entries[1:]}
    for _ in range(3):
        with History(new_url()) as history:
            history.open()
            pieces = [entries[at : at + 50] for at in range(0, len(entries), 25)]
            chance.shuffle(pieces)
            for piece in pieces:
                write(history, *piece)
            past = history.past("r")
        assert past is not None
        assert {t.task_id: (t.try_number, t.state) for t in past.tries} == {
            name: (number, wanted[name, number]) for name, number in newest.items()
        }


def test_it_knows_whether_a_queued_run_is_to_be_planned_or_was_given_back(history: History) -> None:
    def planned_after(*entries) -> bool:
        write(history, *entries)
        past = history.past("r")
        assert past is not None
        return past.planned

    assert not planned_after(run("1-0", "queued"))
    assert planned_after(run("2-0", "running"))
    assert planned_after(run("3-0", "queued"))  # given back to the planners
    resumed = [run("4-0", "failed"), run("5-7", "queued")]
    assert not planned_after(*resumed)
    assert not planned_after(*resumed)
    assert not planned_after(run("6-0", "queued"))
    assert planned_after(run("7-0", "running"), run("8-0", "success"))


def test_the_newest_event_of_a_task_says_what_it_is(history: History) -> None:
    write(history, run("1-0", "queued"), task("2-0", "a", 2, "cancelled"))
    write(history, task("3-0", "a", 1, "success"))
    past = history.past("r")
    assert past is not None
    assert [(each.try_number, each.state) for each in past.tries] == [(1, "success")]


def test_unfinished_runs_are_those_to_restore(history: History) -> None:
    names = ["q", "r", "c", "s", "f", "x"]
    states = ["queued", "running", "cancelling", "success", "failed", "cancelled"]
    entries = [run(f"{i}-0", s, n) for i, (n, s) in enumerate(zip(names, states, strict=True), 1)]
    heads = {name: HEAD | {"submitted_at": f"{100 - i}"} for i, name in enumerate(names)}
    history.write(batch_of(entries, heads, dict.fromkeys(names, DAG)))
    assert history.unfinished() == ["c", "r", "q"]
    assert [summary.run_id for summary in history.runs(2)] == ["q", "r"]


def test_a_dag_s_text_is_kept_once(history: History, url: str) -> None:
    write(history, run("1-0", "queued", "a"), run("1-1", "queued", "b"), runs=("a", "b"))
    write(history, run("2-0", "queued", "c"), runs=("c",))
    other = json.dumps({"dag_id": "d", "tasks": [], "owner": "é"})
    write(history, run("3-0", "queued", "e"), runs=("e",), dag=other)
    assert [history.past(name).dag for name in "abce"] == [DAG, DAG, DAG, other]
    engine = connect(url)
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(dags)) == 2
    engine.dispose()


def test_events_of_a_run_that_redis_lost_meanwhile_are_left_out(history: History) -> None:
    write(history, run("1-0", "queued", "gone"), run("2-0", "queued"), ("3-0", {"kind": "mark"}))
    assert history.unfinished() == ["r"]


def test_the_last_event_is_that_of_any_row(history: History) -> None:
    write(history, run("5-1", "queued"), task("7-3", "a", 1, "success"))
    assert entry_id(history.last_event()) == "7-3"
    write(history, run("9-0", "success"))
    assert entry_id(history.last_event()) == "9-0"


def test_durations_are_medians_of_the_newest_runs(history: History) -> None:
    def took(event: int, name: str, seconds: int, **more: str):
        ended = {"ready_at": "1000000", "ended_at": f"{5 + seconds}000000"}
        return task(f"{event}-0", name, 1, "success", f"r{event}", **ended, **more)

    for number, seconds in enumerate((100, 7, 2, 3), 1):
        name = f"r{number}"
        head = HEAD | {"submitted_at": f"{number}000000"}
        end = run(f"{number}-1", "failed" if number == 2 else "success", name)
        entries = [
            took(number, "a", seconds, started_at="5000000"),
            took(number, "expanded", seconds),
            task(f"{number}-0", "b", 1, "failed", name, started_at="1", ended_at="2"),
            task(f"{number}-0", "c", 1, "success", name),
            end,
        ]
        write(history, *entries, head=head, runs=(name,))
    going_on = [run("9-1", "running", "r9"), took(9, "a", 50, started_at="5000000")]
    write(history, *going_on, head=HEAD | {"submitted_at": "9000000"}, runs=("r9",))
    assert history.durations("d") == {"a": 3.0, "expanded": 7.0}
    assert history.durations("other") == {}


def test_a_failed_batch_writes_nothing_of_itself(history: History) -> None:
    batch = batch_of([run("1-0", "queued")], {"r": HEAD}, {"r": DAG})
    batch.tries.append(
        {**batch_of([task("2-0", "a", 1, "failed")], {}, {}).tries[0], "state": None}
    )
    with pytest.raises(LOST):
        history.write(batch)
    assert history.unfinished() == []


def test_many_processes_may_create_the_tables_at_once(new_url: Callable[[], str]) -> None:
    url = new_url()

    def open_it(_: int) -> str:
        with History(url) as history:
            return history.open()

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(open_it, range(8)))
    assert len(ids) == 1
    with History(new_url()) as other:
        assert {other.open()}.isdisjoint(ids)


def test_its_user_needs_no_right_to_create_tables_once_they_are_there(
    server: PostgresServer,
) -> None:
    url = server.new_database()
    with History(url) as history:
        history.open()
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP ROLE IF EXISTS writer"))
        connection.execute(sa.text("CREATE ROLE writer LOGIN"))
        connection.execute(
            sa.text("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO writer")
        )
    engine.dispose()
    with History(url.replace("//test@", "//writer@")) as history:
        history.open()
        history.set_epoch("e")
        write(history, run("1-0", "queued"), task("2-0", "a", 1, "success"))
        write(history, run("3-0", "success"), task("3-0", "a", 1, "failed"))
        assert history.beat("e")
        assert history.snapshot("r").state == "success"


def test_a_newer_version_s_database_is_refused(history: History, url: str) -> None:
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(sa.update(meta).values(schema=99))
    engine.dispose()
    with pytest.raises(HistoryError, match=f"schema 99, this version writes {SCHEMA}"):
        history.open()
    with pytest.raises(HistoryError, match=f"schema 99, this version reads {SCHEMA}"):
        history.check()


def test_a_file_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = History(f"sqlite:///{tmp_path}/file/history.sqlite")
    with pytest.raises(HistoryError, match=r"can't be written .*: set PYDAG_DATABASE_URL"):
        history.open()


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with History(f"sqlite:///{tmp_path}/history.sqlite") as history, pytest.raises(LOST):
        history.runs()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "give sqlite:"),
        ("sqlite://", "give sqlite:"),
        ("mysql://host/database", "give sqlite:"),
        ("history.sqlite", "give sqlite:"),
    ],
)
def test_an_url_of_nothing_that_is_known_is_refused(url: str, told: str) -> None:
    with pytest.raises(InvalidSettings, match=told):
        History(url)


def test_names_of_files_may_be_odd(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "a b%20?#é", database_url=None)
    with History(settings.history_url) as history:
        history.open()
        assert history.where.startswith(f"{settings.home}/history.sqlite on ")
    assert (settings.home / "history.sqlite").stat().st_mode & 0o777 == 0o600


def test_readers_do_not_wait_for_the_writer_of_a_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.sqlite"
    with History(url) as history:
        history.open()
    with closing(sqlite3.connect(tmp_path / "history.sqlite", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with History(url) as reader:
            assert reader.runs() == []


def test_it_belongs_to_one_epoch_at_a_time(history: History) -> None:
    assert history.epoch() is None
    assert not history.beat("e1")
    history.set_epoch("e1")
    before = history.beats()
    assert history.beat("e1")
    assert history.beats() > before
    history.set_epoch("e2")
    assert not history.beat("e1")
    assert history.epoch() == "e2"


def test_it_goes_on_after_its_database_was_away() -> None:
    with PostgresServer() as server, History(server.new_database()) as history:
        history.open()
        write(history, run("1-0", "queued"))
        server.kill()
        with pytest.raises(LOST):
            history.unfinished()
        with pytest.raises(LOST):
            write(history, run("2-0", "running"))
        server.start()
        write(history, run("2-0", "success"))
        assert history.snapshot("r").state == "success"


@pytest.mark.parametrize(
    "end",
    ["h:port/d", "h:99999/d", "h/d?sslmode=S3CRET", "h/d?no_such_option=1"],
)
def test_a_url_that_postgresql_would_refuse_is_told_before_it_is_asked(end: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        connect(f"postgresql://u:S3CRET@{end}")
    assert str(caught.value).startswith("PYDAG_DATABASE_URL: ")
    assert "S3CRET" not in str(caught.value)


def test_the_statements_of_the_documents_work(history: History, url: str) -> None:
    year = 366 * 86_400_000_000
    for number, run_id in enumerate(("old", "new")):
        at = {"at": str(number * year)}
        head = {**HEAD, "dag_id": "sales", "submitted_at": at["at"]}
        times = {"started_at": "1000000", "ended_at": "3000000"}
        entries = [
            (f"{number + 1}-0", run(f"{number + 1}-0", "queued", run_id)[1] | at),
            task(f"{number + 1}-1", "load", 1, "success", run_id, **times),
            (f"{number + 1}-2", run(f"{number + 1}-2", "success", run_id)[1] | at),
        ]
        write(history, *entries, head=head, runs=(run_id,))
    found = []
    engine = connect(url)
    with engine.begin() as connection:
        for block in all_blocks("sql"):
            for statement in filter(str.strip, block.text.split(";\n")):
                result = connection.exec_driver_sql(statement)
                found += result.all() if result.returns_rows else []
    engine.dispose()
    assert found == [("load", 2, 2.0)]


@pytest.fixture
def listed(history: History) -> History:
    """With five runs, whose ids begin alike."""
    heads = {
        run_id: {
            "dag_id": "d" if number % 2 else "e",
            "submitted_at": str(number * 10**6),
            "params": f'{{"n": {number}}}',
            "tags": '["x"]' if number else "[]",
        }
        for number, run_id in enumerate(("a", "A", "ab_c", "abxc", "b"))
    }
    states = ["success"] * 3 + ["failed"] * 2
    entries = [run(f"{n}-1", states[n], run_id) for n, run_id in enumerate(heads)]
    history.write(batch_of(entries, heads, dict.fromkeys(heads, DAG)))
    return history


def test_the_history_finds_the_same_ways(listed: History) -> None:
    assert listed.has("a")
    assert not listed.has("ab")
    assert listed.with_prefix("ab_", 9) == ["ab_c"]
    assert listed.with_prefix("A", 9) == ["A"]
    assert listed.with_prefix("ab", 1) == ["ab_c"]
    assert listed.newest("d", None, None) == "abxc"
    assert listed.newest("d", 0.0, 2.0) == "A"
    assert listed.newest("d", 5.0, None) is None

    def found(limit: int = 9, **wanted: Any) -> list[str]:
        return [run.run_id for run in listed.listing(limit, RunFilter(**wanted)).runs]

    assert found() == ["b", "abxc", "ab_c", "A", "a"]
    assert found(dag_id="e", states=["failed"]) == ["b"]
    assert found(since=1.0, until=3.0) == ["ab_c", "A"]
    assert found(tags=["x"], params={"n": 3}) == ["abxc"]
    assert found(2, tags=["x"]) == ["b", "abxc"]
    assert [run.run_id for run in listed.listing(2, RunFilter(), lambda _: {"b"}).runs] == [
        "abxc",
        "ab_c",
    ]


def test_the_history_looks_at_so_many_runs_and_says_so(
    listed: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pydag_dist.history.queries.listing.MAX_SCANNED", 3)
    listing = listed.listing(2, RunFilter(tags=["y"]))
    assert (listing.runs, listing.looked_back_to) == ([], 2.0)
    assert listed.listing(9, RunFilter(tags=["y"])).looked_back_to is None
