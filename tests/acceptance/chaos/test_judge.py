"""The judge sees what is wrong: else a session of faults could not fail."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from pydag_dist.engine import RunSnapshot, TaskSnapshot
from tests.acceptance.chaos.dags import RandomDag, RandomTask, random_dag
from tests.acceptance.chaos.faults import (
    KINDS,
    Fault,
    Kind,
    Scene,
    clock_step,
    demoted,
    disk_full,
    kill_redis,
    no_replicas,
    order,
    pause_coordinator,
    redis_away,
    roll_back_1,
    wipe,
)
from tests.acceptance.chaos.judge import Judge, _ends, executions
from tests.acceptance.chaos.schedules import (
    DAY,
    Missed,
    Started,
    Tally,
    Timed,
    filled_dags,
    judge_backfill,
    judge_due_times,
)
from tests.acceptance.chaos.system import Submitted
from tests.acceptance.chaos.work import Line
from workers.google import remote_ids


def drawn(name: str, *upstream: str, **fields: Any) -> RandomTask:
    given = {
        "kind": "call",
        "rule": "all_success",
        "fails": 0,
        "retries": 0,
        "allow_failure": False,
        "ms": 1,
        **fields,
    }
    return RandomTask(name=name, upstream=upstream, **given)


def run_of(*tasks: RandomTask) -> Submitted:
    return Submitted("r", RandomDag("d", {task.name: task for task in tasks}), 0)


def snapshot(state: str, **tasks: Any) -> RunSnapshot:
    """The run; of each task its state, try, error and result."""
    made = {
        name: TaskSnapshot(given[0], given[1], None, None, None, None, None, given[3], given[2])
        for name, given in tasks.items()
    }
    return RunSnapshot(
        run_id="r",
        dag_id="d",
        state=state,
        submitted_at=None,
        started_at=None,
        ended_at=None,
        error=None,
        enqueued={},
        tasks=made,
    )


A, B = drawn("a", fails=1, retries=1), drawn("b", "a")
GOOD: dict[str, Any] = {"a": ("success", 2, None, A.result), "b": ("success", 1, None, B.result)}


def test_an_end_as_it_was_drawn_is_right() -> None:
    assert not list(_ends(run_of(A, B), snapshot("success", **GOOD)))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"a": ("success", 1, None, A.result)}, "it ended in try 1, not 2"),
        ({"a": ("success", 2, "ValueError", A.result)}, "its error is 'ValueError', not None"),
        ({"b": ("success", 1, None, A.result)}, "its result is "),
        ({"b": ("failed", 1, "poison", None)}, "it is failed, not success: poison"),
        ({"b": ("none", 1, None, None)}, "it is none, not success"),
    ],
)
def test_another_end_is_wrong(wrong: dict[str, Any], text: str) -> None:
    found = [what for what, _ in _ends(run_of(A, B), snapshot("success", **(GOOD | wrong)))]
    assert any(what.startswith(text) for what in found)


def test_a_task_that_is_missing_is_wrong() -> None:
    assert list(_ends(run_of(A, B), snapshot("success", a=GOOD["a"])))


def lines(*starts: tuple[float, int], tries: int = 1) -> list[Line]:
    """Executions of a's try by the children of worker 1 that begin then, a second each."""
    made = []
    for at, pid in starts:
        for what, moment in (("start", at), ("end", at + 1)):
            made.append(Line(what, moment, "r", "a", tries, f"{at:g}-1", pid, 1))
    return made


def violations(journal: list[Line], *faults: Fault) -> list[str]:
    task = drawn("a")
    judge = Judge(SimpleNamespace(), list(faults))  # type: ignore[arg-type]
    ended = snapshot("success", a=("success", 1, None, task.result))
    return [v.text for v in judge._executed(run_of(task), ended, executions(journal))]


def hit(at: float, *processes: int, **fields: Any) -> Fault:
    return Fault(1, "kill_child", at, processes=frozenset(processes), **fields)


TWICE = lines((10, 100), (30, 101))


def test_once_is_right_and_never_or_in_another_try_is_wrong() -> None:
    assert not violations(lines((10, 100)))
    assert violations([])
    assert violations(lines((10, 100), tries=2))
    assert violations(lines((10, 100))[:1])  # it has not ended


@pytest.mark.parametrize(
    "fault",
    [
        hit(10.5, 100),
        hit(15, 100),  # its outcome may not have been released yet
        hit(10.5, 1),
        hit(11, 100, 1, until=29),
        Fault(1, "roll_back_5", 14, lost_writes_since=9, until=16),
        Fault(1, "roll_back_5", 14, lost_writes_since=10.5, until=16),
    ],
)
def test_a_second_time_is_put_down_to_what_befell_the_first(fault: Fault) -> None:
    assert not violations(TWICE, fault)


@pytest.mark.parametrize(
    "fault",
    [
        hit(10.5, 101),  # another process
        hit(5, 100),  # before it began
        hit(35, 100),  # after it began again
        Fault(1, "kill_redis", 10.5, until=12),
        Fault(1, "roll_back_1", 21, lost_writes_since=20, until=22),  # it had long ended
    ],
)
def test_a_second_time_without_a_reason_is_wrong(fault: Fault) -> None:
    (text,) = violations(TWICE, fault)
    assert text.startswith("try 1 ran again for no reason")


def test_a_process_that_was_paused_between_its_claim_and_its_start_goes_on_late() -> None:
    first = [
        Line(what, at, "r", "a", 1, "9-4", 100, 1) for what, at in (("start", 31), ("end", 32))
    ]
    journal = [*lines((20, 200)), *first]
    assert not violations(journal, hit(10, 100, until=30.5))
    assert violations(journal, hit(10, 100, until=25))  # it has claimed the try since
    assert violations(journal, hit(10, 101, until=30.5))
    later = [Line(x.what, x.at, x.run, x.task, 1, "21-1", x.pid, x.parent) for x in first]
    assert violations([*lines((20, 200)), *later], hit(10, 100, until=30.5))


def test_a_process_that_went_on_to_another_task_had_released_its_outcome() -> None:
    other = Line("start", 20, "r", "other", 1, "p", 100, 1)
    assert violations([*TWICE, other], hit(21, 100))


@pytest.mark.parametrize(
    ("jobs", "rows", "wrong"),
    [
        ({1: 1, 2: 1}, 1, 0),
        ({1: 1}, 1, 1),  # a try was skipped
        ({1: 1, 2: 1, 3: 1}, 1, 1),  # a try too much
        ({1: 1, 2: 2}, 1, 1),
        ({1: 1, 2: 1}, 2, 1),
        ({}, 0, 2),
    ],
)
def test_remote_effects_are_counted(jobs: dict[int, int], rows: int, wrong: int) -> None:
    task = drawn("q", kind="query", fails=1, retries=3)
    judge = Judge(SimpleNamespace(), [])  # type: ignore[arg-type]
    ended = snapshot("success", q=("success", 2, None, {}))
    ids = {remote_ids.job_id("bigquery", "d", "r", "q", n): count for n, count in jobs.items()}
    found = judge._remote(run_of(task), ended, Counter(ids), Counter({"r/q": rows}))
    assert len(list(found)) == wrong


def test_an_expanded_task_ends_as_its_children_do() -> None:
    def ends(items: int, fails: int) -> set[str]:
        tasks = drawn("list", items=items), drawn("x", "list", kind="expanded", over="list")
        dag = run_of(tasks[0], replace(tasks[1], fails=fails)).dag
        return dag.allowed("x", {"list": "success"})

    assert [ends(0, 0), ends(3, 0), ends(3, 1), ends(1, 1)] == [
        {"skipped"},
        {"success"},
        {"failed"},
        {"success"},  # its second child would fail
    ]


def test_random_dags_have_one_end_whatever_ends_first() -> None:
    chance = random.Random(1)
    seen: set[str] = set()
    for i in range(100):
        dag = random_dag(chance, f"d{i}")
        dag.dag("journal")
        states: dict[str, str] = {}
        for name in dag.tasks:
            allowed = dag.allowed(name, states)
            [states[name]] = allowed
            seen.add(states[name])
    assert seen == {"success", "failed", "skipped", "upstream_failed"}


def test_what_a_branch_does_not_follow_is_skipped_but_for_what_it_leads_to() -> None:
    branch = drawn("b", kind="branch", follows=("x",))
    dag = run_of(branch, drawn("x", "b"), drawn("y", "b"), drawn("z", "b", "x")).dag
    assert dag.skipped("b") == {"y"}
    states = {"b": "success", "x": "success"}
    assert [dag.allowed(name, states) for name in "xyz"] == [{"success"}, {"skipped"}, {"success"}]


def test_a_link_excuses_what_its_worker_ran_while_it_was_cut_and_nothing_later() -> None:
    cut = replace(hit(9, 1, 100, until=29), kind="link_cut")
    assert not violations(TWICE, cut)
    assert not violations(lines((10, 100), (40, 101)), cut)
    assert violations(lines((32, 100), (50, 101)), cut)
    assert violations(TWICE, replace(cut, processes=frozenset([2, 200])))


@pytest.mark.parametrize("kind", ["demoted", "no_replicas", "disk_full", "clock_step", "link_cut"])
def test_what_refuses_steps_or_is_a_coordinator_s_excuses_nothing(kind: str) -> None:
    assert violations(TWICE, Fault(1, kind, 9, until=29))


@pytest.mark.parametrize(
    "kind", [kill_redis, redis_away, roll_back_1, wipe, demoted, no_replicas, disk_full]
)
def test_redis_refuses_until_it_takes_a_write_not_until_it_was_let_go(kind: Kind) -> None:
    fault = Fault(1, kind.__name__, 10.5)
    system = MagicMock(redis_in_hand=False, redis_changes=[], if_redis_can=contextlib.nullcontext)
    system.writes_late.return_value = False
    system.server_time.return_value = 10.5
    system.takes_writes.side_effect = [False, False, True]
    for _ in kind(Scene(system, random.Random(1), fault, [])):
        assert not fault.refused_until
    assert fault.refused_until


def test_each_kind_of_fault_is_drawn_and_the_same_for_a_seed() -> None:
    orders = [order(60, random.Random(7)) for _ in range(2)]
    assert orders[0] == orders[1]
    assert set(orders[0]) == set(KINDS)
    assert clock_step not in order(60, random.Random(7), without=["clock_step"])
    assert order(3, random.Random(7), ["clock_step"]) == [clock_step] * 3
    assert order(2, random.Random(7), ["pause_coordinator"]) == [pause_coordinator] * 2
    assert all(len(order(n, random.Random(1))) == n for n in itertools.chain(range(20), [200]))


@pytest.mark.parametrize(
    ("at", "refused_until", "excused"),
    [(10.5, 19, True), (10.5, 17, False), (12.5, 19, True), (14, 19, False)],
)
def test_an_end_that_redis_could_not_be_told_of_for_a_while_is_lost_with_what_came_after(
    at: float, refused_until: float, excused: bool
) -> None:
    refusing = Fault(1, "redis_away", at, refused_until=refused_until)
    wiped = Fault(2, "wipe", 22, lost_writes_since=20, until=23)
    assert violations(TWICE, wiped)
    assert (not violations(TWICE, refusing, wiped)) is excused


ALL = (1003, 1006, 1009, 1012)
LOST = [(1010.0, 1020.0)]


def due_times(
    *runs: float, missed: Missed | None = None, lost: Any = (), **fields: Any
) -> tuple[list[str], Tally]:
    """What is wrong if these due times have runs: `ALL` of the DAG is settled in the end."""
    given = {"start": 1, "asked_at": 1000.1, "published_at": 1000.2, "until": 1015, **fields}
    timed, tally = Timed("due-0", 3, **given), Tally()
    started = [Started(f"due-0-{due}", "due-0", due, due + 0.5, True) for due in runs]
    return list(judge_due_times(timed, started, [missed] if missed else [], lost, tally)), tally


def said(first: float, last: float, count: int, at: float = 1012.5) -> Missed:
    return Missed("due-0", count, first, last, at)


def test_due_times_that_have_runs_or_are_said_to_be_missed_are_right() -> None:
    found, tally = due_times(*ALL)
    assert not found
    assert (tally.due, tally.runs, tally.missed) == (4, 4, 0)
    found, tally = due_times(1003, 1012, missed=said(1006, 1009, 2))
    assert not found
    assert (tally.due, tally.runs, tally.missed) == (4, 2, 2)
    assert not due_times(*ALL, 1015)[0]  # as it was paused the next one had its run already
    assert not due_times(997, 1000, *ALL, catchup=True, start=997)[0]
    many = 1003 + 3 * 1500
    assert not due_times(many, missed=said(1003, many - 3, 1000), until=many + 3)[0]


@pytest.mark.parametrize(
    ("runs", "fields", "text"),
    [
        ((1003, 1006, 1012), {}, "1970-01-01T00:16:49+00:00 has no run, and"),
        ((), {}, "1970-01-01T00:16:43+00:00 has no run, and"),
        (ALL, {"catchup": True, "start": 997}, "1970-01-01T00:16:37+00:00 has no run, and"),
        ((*ALL, 1006), {}, "1970-01-01T00:16:46+00:00 has 2 runs"),
        ((*ALL, 1006), {"lost": [(0.0, 2000.0)]}, "1970-01-01T00:16:46+00:00 has 2 runs"),
        ((*ALL, 1007), {}, "it was not due at 1970-01-01T00:16:47+00:00"),
        ((1000, *ALL), {}, "it was not due at 1970-01-01T00:16:40+00:00"),
        ((1003, 1012), {"missed": said(1006, 1009, 1)}, "1 due times were said to be missed"),
        (ALL, {"missed": said(1006, 1006, 1)}, "1970-01-01T00:16:46+00:00 has 1 runs and was said"),
        ((1003, 1009, 1012), {"missed": said(1006, 1006, 1), "catchup": True}, "it has catchup"),
    ],
)
def test_a_due_time_that_is_settled_never_or_twice_is_wrong(
    runs: tuple[float, ...], fields: dict[str, Any], text: str
) -> None:
    assert any(found.startswith(text) for found in due_times(*runs, **fields)[0])


def test_lost_writes_excuse_that_a_due_time_is_settled_again() -> None:
    again = said(1009, 1009, 1, at=1012.5)
    assert due_times(*ALL, missed=again)[0]
    assert not due_times(*ALL, missed=again, lost=LOST)[0]
    assert due_times(*ALL, missed=said(1006, 1006, 1, at=1009), lost=LOST)[0]


def test_a_run_that_begins_before_it_is_due_is_wrong() -> None:
    timed = Timed("due-0", 3, published_at=1000, until=1003)
    early = Started("due-0-x", "due-0", 1002, 1001.9, True)
    assert list(judge_due_times(timed, [early], [], (), Tally()))


def test_a_due_time_of_a_backfill_has_one_run_and_no_other_time_has_any() -> None:
    filled, _ = filled_dags(2, 3, 10 * DAY + 5)
    due = list(filled.due_times())
    assert due == [6 * DAY, 7 * DAY, 8 * DAY]

    def wrong(*times: float) -> list[str]:
        runs = [Started(f"r{i}", "fill-0", at, 0, True) for i, at in enumerate(times)]
        return list(judge_backfill(filled, runs))

    assert wrong(*due) == []
    assert wrong(*due[1:]) == ["1970-01-07T00:00:00+00:00 has 0 runs of its backfill"]
    assert wrong(*due, due[2]) == ["1970-01-09T00:00:00+00:00 has 2 runs of its backfill"]
    assert len(wrong(*due, 9 * DAY)) == 1


def test_a_run_that_nothing_knows_is_wrong_unless_redis_may_have_lost_it() -> None:
    def unknown(*faults: Fault) -> list[Any]:
        system = SimpleNamespace(is_of_schedule=lambda run_id: run_id == "r")
        judge = Judge(system, list(faults))  # type: ignore[arg-type]
        return list(judge._unknown(executions(lines((10, 100))), {"another"}))

    assert unknown()
    assert not unknown(Fault(1, "wipe", 11, lost_writes_since=9.5, until=12))
    assert unknown(Fault(1, "wipe", 21, lost_writes_since=19.5, until=22))
