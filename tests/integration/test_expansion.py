"""Expanded tasks and templates on real workers: items, order, tries, resume, cancel, limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support import wait_until
from tests.support.cluster import Cluster, call

OVER = {"over": "tasks.list.result"}


def given(task_id: str, value: Any, *, after: Sequence[str] = ()) -> dict[str, Any]:
    """A task with that result."""
    return call(task_id, "choose", after=after, tasks=value)


def test_each_child_has_its_item_and_its_tries(busy_cluster: Cluster) -> None:
    number = "{{ 2 if item % 50 == 0 else 1 }}"
    each = busy_cluster.task("each", "succeed_at", after=["list"], number=number)
    run = busy_cluster.submit(
        [
            given("list", list(range(200))),
            each | {"expand": OVER, "retries": 1, "retry_delay": 0.1},
            given("all", "{{ tasks.each.result }}", after=["each"]),
            given("count", "{{ tasks.list.result | length }} of {{ params.what }}", after=["all"]),
        ],
        params={"what": "them"},
    )
    snapshot = busy_cluster.wait_ended(run)

    assert (snapshot.state, len(snapshot.tasks)) == ("success", 204)
    expected = [2 if number % 50 == 0 else 1 for number in range(200)]
    assert [snapshot.tasks[f"each.{n}"].try_number for n in range(200)] == expected
    assert snapshot.tasks["all"].result == expected
    assert snapshot.tasks["count"].result == "200 of them"
    ran = Counter(line.task for line in busy_cluster.journal.lines("ran", run.id))
    assert ran == {f"each.{n}": times for n, times in enumerate(expected)}
    busy_cluster.assert_nothing_left([run])


def test_a_resumed_run_repeats_the_failed_child_only(busy_cluster: Cluster) -> None:
    number = "{{ 2 if index == 3 and try_number == 1 else try_number }}"
    each = busy_cluster.task("each", "succeed_at", after=["list"], number=number)
    run = busy_cluster.submit(
        [
            given("list", {"names": ["a", "b", "c", "d", "e"]}),
            each | {"expand": {"over": "tasks.list.result.names"}},
            given("date", "{{ logical_date }}", after=["each"]),
        ]
    )
    failed = busy_cluster.wait_ended(run)
    assert failed.state == "failed"
    assert failed.tasks["each"].state == failed.tasks["each.3"].state == "failed"
    assert failed.tasks["date"].state == "upstream_failed"

    run.resume()
    resumed = busy_cluster.wait_ended(run)
    assert resumed.state == "success"
    assert {task.state for task in resumed.tasks.values()} == {"success"}
    ran = Counter(line.task for line in busy_cluster.journal.lines("ran", run.id))
    assert ran == {"each.0": 1, "each.1": 1, "each.2": 1, "each.3": 2, "each.4": 1}
    _, logical_date = busy_cluster.engine.reading.run_params(run.id)
    assert resumed.tasks["date"].result == logical_date

    run.resume(from_task="each.2")
    again = busy_cluster.wait_ended(run)
    assert again.state == "success"
    tries = {name: task.try_number for name, task in again.tasks.items() if name != "each"}
    assert tries == {
        "list": 1,
        "each.0": 1,
        "each.1": 1,
        "each.2": 2,
        "each.3": 2,
        "each.4": 1,
        "date": 2,
    }


def test_a_run_that_is_cancelled_cancels_the_children(
    busy_cluster: Cluster, tmp_path: Path
) -> None:
    each = busy_cluster.task("each", "hold", after=["list"], gate=f"{tmp_path}/{{{{ item }}}}")
    run = busy_cluster.submit(
        [given("list", ["x"] * 20), each | {"expand": OVER}, given("end", 1, after=["each"])]
    )
    busy_cluster.wait_lines("start", run, 4)
    run.cancel()
    snapshot = busy_cluster.wait_ended(run)

    states = {name: task.state for name, task in snapshot.tasks.items() if name != "list"}
    assert snapshot.state == "cancelled"
    assert set(states.values()) == {"cancelled"}
    assert len(busy_cluster.journal.lines("start", run.id)) == 4
    busy_cluster.assert_nothing_left([run])


def test_results_have_their_limit_and_lists_theirs(busy_cluster: Cluster) -> None:
    each = call("each", "choose", after=["list"], tasks=[])
    long, many = (
        busy_cluster.submit([given("list", value), each | {"expand": OVER}])
        for value in ("x" * 65_536, [1] * 10_001)
    )
    long_tasks, many_tasks = (
        snapshot.tasks for snapshot in busy_cluster.wait_all_ended([long, many])
    )
    assert long_tasks["list"].error is not None
    assert long_tasks["list"].error.startswith("python.call returned 65,538 bytes of JSON")
    assert many_tasks["list"].error is not None
    assert "of at most 10,000 items, not 10,001" in many_tasks["list"].error
    assert long_tasks["each"].state == many_tasks["each"].state == "upstream_failed"


def test_functions_skip_and_fail_their_own_tasks(busy_cluster: Cluster) -> None:
    retried = {"retries": 3, "retry_delay": 0.1}
    run = busy_cluster.submit(
        [
            busy_cluster.task("skips", "skip", why="no files") | retried,
            given("below", 1, after=["skips"]),
            busy_cluster.task("fails", "fail_for_good", why="unknown day") | retried,
            call("wrong", "choose", tusks=1) | retried,
            busy_cluster.task("each", "skip_odd", number="{{ item }}")
            | {"expand": {"over": "params.of.numbers"}},
            given("all", "{{ tasks.each.result }}", after=["each"]),
            busy_cluster.task("none", "skip_odd", number="{{ item }}")
            | {"expand": {"over": [1, 3]}},
            given("last", "{{ [tasks.none.result, tasks.empty.result] }}", after=["none", "empty"])
            | {"trigger_rule": "all_done"},
            given("empty", 1) | {"expand": {"over": []}},
        ],
        params={"of": {"numbers": [0, 1, 2]}},
    )
    snapshot = busy_cluster.wait_ended(run)

    ends = {name: (t.state, t.try_number, t.error) for name, t in snapshot.tasks.items() if t.error}
    assert ends == {
        "skips": ("skipped", 1, "no files"),
        "fails": ("failed", 1, "not repeated: unknown day"),
        "wrong": ("failed", 1, snapshot.tasks["wrong"].error),
        "each.1": ("skipped", 1, "1 is odd"),
        "none.0": ("skipped", 1, "1 is odd"),
        "none.1": ("skipped", 1, "3 is odd"),
    }
    assert str(snapshot.tasks["wrong"].error).startswith(
        "not repeated: callable 'tests.tasks.callables:choose' can't be called so: "
        "choose() got an unexp"
    )
    states = {
        name: snapshot.tasks[name].state for name in ("below", "each", "all", "none", "empty")
    }
    assert list(states.values()) == ["skipped", "success", "success", "skipped", "skipped"]
    assert snapshot.tasks["all"].result == snapshot.tasks["each"].result == [0, None, 2]
    assert snapshot.tasks["last"].result == [[None, None], None]
    assert (snapshot.tasks["none"].result, snapshot.tasks["empty"].result) == ([None, None], None)
    assert run.why("skips").endswith(": no files")
    assert run.why("below") == (
        "below was skipped with skips upstream of it, which skipped itself: no files"
    )
    busy_cluster.assert_nothing_left([run])


def test_a_template_that_can_not_be_rendered_fails_without_retries(busy_cluster: Cluster) -> None:
    broken = given("broken", "{{ params.day }}") | {"retries": 1, "retry_delay": 0.1}
    run = busy_cluster.submit([broken])
    task = busy_cluster.wait_ended(run).tasks["broken"]

    why = 'params.kwargs.tasks: template "{{ params.day }}": params has no "day"'
    assert (task.state, task.try_number) == ("failed", 1)
    assert task.error == f"not repeated: {why}"
    lines = wait_until(lambda: run.logs("broken"), "its log")
    assert {(line.try_number, line.line) for line in lines} == {(1, why)}
