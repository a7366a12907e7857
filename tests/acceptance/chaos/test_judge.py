"""The judge sees what is wrong: else a session of faults could not fail."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pydag_dist.engine import RunSnapshot, TaskSnapshot
from tests.acceptance.chaos.dags import RandomDag, RandomTask, random_dag
from tests.acceptance.chaos.faults import KINDS, Fault, clock_step, order
from tests.acceptance.chaos.judge import Judge, _ends, executions
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
            made.append(Line(what, moment, "r", "a", tries, "p", pid, 1))
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


def test_each_kind_of_fault_is_drawn_and_the_same_for_a_seed() -> None:
    orders = [order(60, random.Random(7)) for _ in range(2)]
    assert orders[0] == orders[1]
    assert set(orders[0]) == set(KINDS)
    assert clock_step not in order(60, random.Random(7), without=["clock_step"])
    assert order(3, random.Random(7), ["clock_step"]) == [clock_step] * 3
    assert all(len(order(n, random.Random(1))) == n for n in itertools.chain(range(20), [200]))


@pytest.mark.parametrize(("refused_until", "excused"), [(19, True), (17, False)])
def test_an_end_that_redis_could_not_be_told_of_for_a_while_is_lost_with_what_came_after(
    refused_until: float, excused: bool
) -> None:
    refusing = Fault(1, "demoted", 10.5, refused_until=refused_until)
    wiped = Fault(2, "wipe", 22, lost_writes_since=20, until=23)
    assert violations(TWICE, wiped)
    assert (not violations(TWICE, refusing, wiped)) is excused
