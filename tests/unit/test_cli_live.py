"""What the command line shows of a run: plain lines, tables, the timeline."""

from __future__ import annotations

import io

from rich.console import Console

from pydag_dist.cli import live
from pydag_dist.cli.timeline import timeline
from pydag_dist.engine import RunSnapshot, TaskSnapshot


def task(
    state,
    started_at=None,
    ended_at=None,
    *,
    ready_at=None,
    worker=None,
    try_number=1,
    result=None,
):
    return TaskSnapshot(
        state=state,
        try_number=try_number,
        ready_at=ready_at,
        queued_at=ready_at,
        started_at=started_at,
        ended_at=ended_at,
        worker=worker,
        result=result,
        error="it broke" if state in {"failed", "up_for_retry"} else None,
    )


def run(state, tasks):
    return RunSnapshot(
        run_id="d-1",
        dag_id="d",
        state=state,
        submitted_at=99.0,
        started_at=100.0,
        ended_at=None if state == "running" else 110.0,
        error=None,
        enqueued={"coordinator": 0, "chord": 0, "tick": 0},
        tasks=tasks,
    )


def printed(renderable, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def watched(*snapshots):
    console = Console(file=io.StringIO(), width=40)
    assert live.watch(snapshots, console) is snapshots[-1]
    # Every line begins with the time of day.
    return [line[9:] for line in console.file.getvalue().splitlines()]


def test_without_a_terminal_each_change_is_one_line():
    lines = watched(
        run("running", {"a": task("queued"), "b": task("none")}),
        run("running", {"a": task("running", 100.0, worker="w@h"), "b": task("none")}),
        run("running", {"a": task("running", 100.0, worker="w@h"), "b": task("none")}),
        run("success", {"a": task("success", 100.0, 102.5), "b": task("skipped")}),
    )
    assert lines == [
        "a: running on w@h",
        "a: success after 2.5 s",
        "b: skipped",
        "run d-1: success",
    ]


def test_a_second_try_is_told_too():
    lines = watched(
        run("running", {"a": task("running", 100.0, worker="w@h")}),
        run("running", {"a": task("up_for_retry", 100.0, 100.5)}),
        run("running", {"a": task("running", 101.0, worker="w@h", try_number=2)}),
        run("failed", {"a": task("failed", 101.0, 102.0, try_number=2)}),
    )
    assert lines[1] == "a: up_for_retry, try 1 failed: it broke"
    assert lines[2] == "a: running on w@h, try 2"
    assert lines[3] == "a: failed after 1.0 s"


def test_what_is_being_stopped_is_told():
    lines = watched(
        run("cancelling", {"a": task("cancelling", 100.0, worker="w@h"), "b": task("cancelled")}),
        run("cancelled", {"a": task("cancelled", 100.0, 101.0), "b": task("cancelled")}),
    )
    assert lines == [
        "a: cancelling",
        "b: cancelled",
        "a: cancelled after 1.0 s",
        "run d-1: cancelled",
    ]


def test_a_big_dag_is_told_in_counts():
    tasks = {f"t{i}": task("success", 100.0, 101.0) for i in range(300)}
    lines = watched(run("running", tasks | {"z": task("running", 101.0)}), run("success", tasks))
    assert lines == ["1 running, 300 success", "300 success", "run d-1: success"]


def test_a_small_dag_is_shown_whole():
    shown = printed(
        live.render(run("running", {"a": task("running", 100.0), "b": task("none")}), 9)
    )
    assert "0/2 tasks" in shown
    assert [line.split()[:2] for line in shown.splitlines()[3:]] == [
        ["a", "running"],
        ["b", "none"],
    ]


def test_tasks_are_shown_in_the_order_of_their_starts():
    tasks = {"c": task("none"), "b": task("none"), "late": task("running", 102.0)}
    tasks |= {"z": task("success", 100.0, 101.0)}
    shown = printed(live.render(run("running", tasks), 9))
    assert [line.split()[0] for line in shown.splitlines()[3:]] == ["z", "late", "b", "c"]


def test_only_a_later_try_is_numbered():
    tasks = {"a": task("success", 100.0, 101.0), "b": task("success", 100.0, 101.0, try_number=2)}
    rows = [line.split() for line in printed(live.render(run("success", tasks), 9)).splitlines()]
    assert rows[3:] == [["a", "success", "1.0", "s"], ["b", "success", "2", "1.0", "s"]]


def test_what_was_billed_and_what_was_cached_is_shown_where_there_is_any():
    tasks = {
        "a": task("success", 100.0, 101.0, result={"bytes_billed": 30_000_000}),
        "b": task("success", 100.0, 101.0, result={"bytes_billed": 0, "cached_from": "d-0"}),
        "c": task("success", 100.0, 101.0, result=[{"bytes_billed": 5}]),
    }
    snapshot = run("success", tasks)
    rows = [line.split() for line in printed(live.render(snapshot, 9)).splitlines()]
    assert rows[1][-3:] == ["30.0", "MB", "billed"]
    assert rows[2] == ["task", "state", "try", "took", "worker", "billed", "cached", "from"]
    assert rows[3:] == [
        ["a", "success", "1.0", "s", "30.0", "MB"],
        ["b", "success", "1.0", "s", "d-0"],
        ["c", "success", "1.0", "s"],
    ]
    told = snapshot.to_dict()
    assert told["bytes_billed"] == 30_000_000
    assert [one["bytes_billed"] for one in told["tasks"].values()] == [30_000_000, 0, None]
    assert [one["cached_from"] for one in told["tasks"].values()] == [None, "d-0", None]


def test_a_big_dag_shows_what_failed_what_runs_and_what_ended_last():
    tasks = {f"t{i}": task("success", 100.0, 101.0 + i) for i in range(100)}
    tasks |= {"bad": task("failed", 100.0, 101.0), "busy": task("running", 100.0, worker="w@h")}
    shown = printed(live.render(run("running", tasks), 10))
    named = [line.split()[0] for line in shown.splitlines()[4:]]
    assert "1 failed, 1 running, 100 success" in shown
    assert set(named) == {"bad", "busy", *(f"t{i}" for i in range(92, 100))}


def test_durations_read_well():
    assert live.duration(None, None) == ""
    assert live.duration(1.0, 2.25) == "1.2 s"
    assert live.duration(0.0, 61.0) == "1:01 min"
    assert live.duration(0.0, 3661.0) == "1:01:01"


def test_the_timeline_has_waiting_and_running_on_one_scale():
    tasks = {
        "second": task("success", 105.0, 110.0, ready_at=102.5, worker="w2@h"),
        "first": task("success", 100.0, 105.0, ready_at=100.0, worker="w1@h"),
        "never": task("skipped"),
    }
    assert timeline(run("success", tasks), width=20) == [
        "first  |██████████          |    5.0 s  w1@h",
        "second |     ·····██████████|    5.0 s  w2@h",
    ]


def test_the_timeline_of_a_run_that_did_nothing_is_empty():
    assert timeline(run("success", {"a": task("skipped")})) == []


def test_a_short_task_at_the_end_still_has_a_bar():
    tasks = {
        "long": task("success", 100.0, 110.0, worker="w@h"),
        "short": task("success", 109.999, 110.0, worker="w@h"),
    }
    assert timeline(run("success", tasks), width=10)[1].startswith("short |         █|")
