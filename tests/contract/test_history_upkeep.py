"""Stats, pruning, backup and export of the history, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pydag_dist.errors import HistoryError
from pydag_dist.history import History, HistoryReader, batch_of, pruning
from pydag_dist.history.database import connect
from pydag_dist.history.queries.stats import RunStats
from tests.support.postgres_server import PostgresServer

DAY = 86_400
START = 1_767_225_600  # 2026-01-01
SPAN = (0.0, float("inf"))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    if request.param == "sqlite":
        names = iter(range(100))
        return lambda: f"sqlite:///{tmp_path}/history{next(names)}.sqlite"
    server: PostgresServer = request.getfixturevalue("server")
    return server.new_database


@pytest.fixture
def history(new_url: Callable[[], str]) -> Iterator[History]:
    with History(new_url()) as history:
        history.open()
        yield history


Written = tuple[list[Any], dict[str, str], str]  # events of a run, its hash, its DAG


def ended(
    run_id: str,
    day: float,
    *,
    seconds: float = 60,
    state: str = "success",
    dag: dict[str, Any] | None = None,
    billed: int | None = None,
    **head: str,
) -> Written:
    """An ended run of two tasks, of which the first takes half of its time."""
    dag = {"dag_id": "d", "tasks": [{"task_id": "a"}, {"task_id": "b"}], **(dag or {})}
    at = [round((START + day * DAY + part * seconds) * 1e6) for part in (0, 0.5, 1)]
    fields = {"dag_id": dag["dag_id"], "submitted_at": str(at[0]), "started_at": str(at[0]), **head}
    task = {"kind": "task", "run": run_id, "try": "1"}
    result = "" if billed is None else json.dumps({"rows": 1, "bytes_billed": billed})
    told = [
        {"kind": "run", "run": run_id, "state": "queued", "at": str(at[0]), "dag_hash": "x"},
        {**task, "task": "a", "state": "success", "result": result, "at": str(at[1])}
        | {"started_at": str(at[0]), "ended_at": str(at[1])},
        {**task, "task": "b", "state": state, "at": str(at[2])}
        | {"started_at": str(at[1]), "ended_at": str(at[2])},
        {"kind": "run", "run": run_id, "state": state, "at": str(at[2])},
    ]
    events = [(f"{at[2] // 1000}-{number}", each) for number, each in enumerate(told)]
    return events, fields, json.dumps(dag)


def write(history: History, *runs: Written) -> None:
    events = [event for written in runs for event in written[0]]
    ids = [written[0][0][1]["run"] for written in runs]
    heads = {run_id: written[1] for run_id, written in zip(ids, runs, strict=True)}
    dags = {run_id: written[2] for run_id, written in zip(ids, runs, strict=True)}
    history.write(batch_of(events, heads, dags))


def by_name(found: Sequence[RunStats]) -> dict[str, RunStats]:
    return {stats.name: stats for stats in found}


def test_runs_are_counted_by_what_they_have_in_common(history: History) -> None:
    write(
        history,
        *(
            ended(f"d-{number}", number, seconds=10 * (number + 1), billed=1_000)
            for number in range(20)
        ),
    )
    write(
        history,
        ended("d-bad", 40, state="failed", dag={"owner": "ann", "tags": ["x", "y"]}, billed=7),
    )
    write(
        history, ended("e-1", 41, dag={"dag_id": "e", "owner": "ann", "tags": ["x"]}, billed=50_000)
    )
    write(history, ended("e-2", 41, state="cancelled", dag={"dag_id": "e", "owner": "ann"}))

    first, second = history.run_stats("dag", "", *SPAN)
    assert first == RunStats("e", 2, 1, 0, 1, 60.0, 60.0, 50_000)
    assert second == RunStats("d", 21, 20, 1, 0, 100.0, 190.0, 20_007)
    assert (first.success_rate, second.success_rate) == (1.0, 20 / 21)
    months = by_name(history.run_stats("month", "", *SPAN))
    assert list(months) == ["2026-02", "2026-01"]
    assert {name: stats.runs for name, stats in months.items()} == {"2026-01": 20, "2026-02": 3}
    assert months["2026-01"].bytes_billed == 20_000
    owners = by_name(history.run_stats("owner", "", *SPAN))
    assert {name: stats.bytes_billed for name, stats in owners.items()} == {
        "": 20_000,
        "ann": 50_007,
    }
    labels = by_name(history.run_stats("label", "", *SPAN))
    assert {name: (s.runs, s.bytes_billed) for name, s in labels.items()} == {
        "": (21, 20_000),
        "x": (2, 50_007),
        "y": (1, 7),
    }
    newest = history.run_stats("run", "", *SPAN, limit=2)
    assert {stats.name for stats in newest} == {"e-1", "e-2"}
    (one,) = history.run_stats("dag", "d", START + 5 * DAY, START + 6 * DAY)
    assert (one.runs, one.median, one.bytes_billed) == (1, 60.0, 1_000)
    assert history.run_stats("dag", "", START + 100 * DAY, float("inf")) == []


def test_tasks_are_compared_with_their_newest_runs(history: History) -> None:
    write(
        history,
        *(
            ended(f"d-{number}", number, seconds=10 if number < 15 else 100, billed=3)
            for number in range(20)
        ),
    )
    write(history, ended("d-bad", 40, state="failed"))
    first, second = history.task_stats("d", *SPAN)
    assert (first.name, first.tries, first.failed, first.bytes_billed) == ("a", 21, 0, 60)
    assert (first.median, first.most, first.recent) == (5.0, 50.0, 50.0)
    assert (second.name, second.tries, second.failed, second.bytes_billed) == ("b", 21, 1, 0)
    assert history.task_stats("none", *SPAN) == []


def test_what_ended_long_ago_is_deleted_with_all_that_only_it_had(history: History) -> None:
    write(
        history,
        *(
            ended(f"old-{number}", 0.001 * number, dag={"dag_id": "gone"})
            for number in range(1_200)
        ),
    )
    scheduled = {"run_type": "scheduled", "version": "1"}
    write(history, ended("s-1", 1, logical_date="2026-01-02", **scheduled))
    write(history, ended("s-2", 2, logical_date="2026-01-03", **scheduled))
    write(history, ended("new", 10))
    forgotten: list[str] = []
    before = START + 5 * DAY
    assert history.old_runs(before) == 1_201
    pruned = history.prune(before, forgotten.extend)
    assert (pruned.runs, pruned.tries) == (1_201, 2_402)
    assert sorted(forgotten) == sorted([f"old-{n}" for n in range(1_200)] + ["s-1"])
    assert [run.run_id for run in history.runs()] == ["new", "s-2"]
    assert history.submitted_dag("new")
    assert history.prune(before, forgotten.extend).runs == 0
    with history._db.connect() as connection:
        left = {
            table: connection.scalar(sa.text(f"SELECT COUNT(*) FROM pydag_{table}"))
            for table in ("dags", "tries", "rounds", "runs")
        }
    assert left == {"dags": 1, "tries": 4, "rounds": 2, "runs": 2}


def test_a_transaction_has_few_tries_and_a_run_that_goes_on_again_stays(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(history, *(ended(f"old-{number}", 0.001 * number) for number in range(12)))
    monkeypatch.setattr(pruning, "TRIES", 5)  # of two runs
    commits: list[int] = []
    sa.event.listen(history._db, "commit", lambda _: commits.append(1))

    def resume(_: Sequence[str]) -> None:
        events, head, dag = ended("old-3", 20)
        write(history, ([events[0]], head, dag))

    assert history.prune(START + DAY, resume) == pruning.Pruned(11, 22)
    assert len(commits) >= 6
    assert [run.run_id for run in history.runs()] == ["old-3"]
    assert len(history.tries("old-3", "a")) == 1


def test_nothing_is_deleted_while_its_logs_cannot_be(history: History) -> None:
    write(history, ended("old", 0))

    def refuse(_: Sequence[str]) -> None:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        history.prune(START + DAY, refuse)
    assert history.has("old")


def test_a_backup_is_a_history_and_fills_another_database(
    history: History, new_url: Callable[[], str], tmp_path: Path
) -> None:
    write(history, *(ended(f"d-{number}", number, billed=5) for number in range(1_100)))
    history.set_epoch("an epoch")
    file = tmp_path / "a backup.sqlite"
    assert history.back_up(file) == 1_100
    assert file.stat().st_mode & 0o077 == 0
    with HistoryReader(f"sqlite:///{file}") as copy:
        copy.check()
        assert (copy.epoch(), len(copy.runs(2_000))) == ("an epoch", 1_100)
        assert copy.snapshot("d-7") == history.snapshot("d-7")
    with pytest.raises(HistoryError, match="is there already"):
        history.back_up(file)
    with History(new_url()) as other:
        assert other.restore(file) == 1_100
        assert other.epoch() == "an epoch"
        assert other.snapshot("d-7") == history.snapshot("d-7")
        assert other.run_stats("dag", "", *SPAN) == history.run_stats("dag", "", *SPAN)
        with pytest.raises(HistoryError, match="has runs already"):
            other.restore(file)
    with pytest.raises(HistoryError, match="is no file"):
        history.restore(tmp_path / "none")
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_rows_are_there_for_other_programs(history: History) -> None:
    write(history, *(ended(f"d-{number}", number, billed=number) for number in range(3)))
    found = list(history.rows("runs", START + DAY, float("inf")))
    assert [row["run_id"] for row in found] == ["d-1", "d-2"]
    assert {"dag_id", "state", "params", "head"} <= set(found[0])
    tries = list(history.rows("tries", START + DAY, float("inf")))
    assert [(row["run_id"], row["task_id"]) for row in tries[:2]] == [("d-1", "a"), ("d-1", "b")]
    assert [row["bytes_billed"] for row in tries] == [1, None, 2, None]


def test_what_was_billed_before_is_found_in_results(new_url: Callable[[], str]) -> None:
    url = new_url()
    with History(url) as history:
        history.open()
        write(history, ended("d-1", 0, billed=77))
    engine = connect(url)
    with engine.begin() as connection:  # as the version before left it
        connection.exec_driver_sql("DROP INDEX pydag_tries_billed")
        connection.exec_driver_sql("ALTER TABLE pydag_tries DROP COLUMN bytes_billed")
        connection.exec_driver_sql("UPDATE pydag_meta SET schema = 5")
        connection.exec_driver_sql("UPDATE pydag_version SET version_num = '0005'")
        connection.exec_driver_sql(
            'UPDATE pydag_tries SET result = \'"no object of \\"bytes_billed\\""\' '
            "WHERE task_id = 'b'"
        )
    engine.dispose()
    with History(url) as history:
        history.open()
        (stats,) = history.run_stats("dag", "", *SPAN)
        assert stats.bytes_billed == 77
