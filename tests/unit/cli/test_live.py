"""What one sees of a run while it goes on: a table that fits, or plain lines."""

from __future__ import annotations

import io
import itertools
import re
from typing import get_args

import pytest
from rich.console import Console

from pydag_dist.cli.display import progress
from pydag_dist.cli.display.live import live_screen
from pydag_dist.cli.display.run_status import status_screen
from pydag_dist.cli.display.states import COUNTED, coloured
from pydag_dist.cli.display.tables import duration, shortened, span
from pydag_dist.cli.display.timeline import timeline
from pydag_dist.engine import RunSnapshot, TaskSnapshot
from pydag_dist.engine.protocol import COUNTS_AS, TASK_STATES, RunState

RUN_ID = "customer_orders-20260131t060000-0123456789abcdef"


def task(
    state,
    started_at=None,
    ended_at=None,
    *,
    ready_at=None,
    worker=None,
    try_number=1,
    result=None,
    error=None,
):
    if state in {"failed", "up_for_retry"}:
        error = error or "it broke"
    return TaskSnapshot(
        state=state,
        try_number=try_number,
        ready_at=ready_at,
        queued_at=ready_at,
        started_at=started_at,
        ended_at=ended_at,
        worker=worker,
        result=result,
        error=error,
    )


def run(state, tasks, **more):
    given = {"run_id": RUN_ID, "dag_id": "d", "submitted_at": 99.0, "started_at": 100.0}
    given |= {"round_at": 100.0, "error": None}
    given["ended_at"] = None if state in {"queued", "running"} else 110.0
    return RunSnapshot(
        state=state, enqueued={"coordinator": 0, "chord": 0, "tick": 0}, tasks=tasks, **given | more
    )


def printed(renderable, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue().splitlines()


def screen(snapshot, width=80, height=24, note=""):
    """The lines of the screen, which must fit it, with one left for the cursor."""
    lines = printed(live_screen(snapshot, (110.0, None), width, height, note), width)
    assert len(lines) < height
    assert all(len(line) <= width for line in lines)
    return lines


def names(lines):
    """The tasks that have a row."""
    if not any(line.startswith("task ") for line in lines):
        return []
    head = next(i for i, line in enumerate(lines) if line.startswith("task "))
    rows = itertools.takewhile(lambda line: not line.startswith("not shown"), lines[head + 1 :])
    return [line.split()[0] for line in rows]


def watched(*snapshots, **options):
    console = Console(file=io.StringIO(), width=40)
    assert progress.watch(snapshots, console, **options) is snapshots[-1]
    # Every line begins with the time of day.
    return [line[9:] for line in console.file.getvalue().splitlines()]


# The table


def test_what_is_not_done_comes_first():
    tasks = {
        "done": task("success", 100.0, 101.0),
        "later": task("none"),
        "busy": task("running", 100.0, worker="w@h"),
        "next": task("queued"),
        "bad": task(
            "failed",
            100.0,
            102.0,
            error="Traceback (most recent call last):\n  x\nValueError: no luck",
        ),
        "again": task("up_for_retry", 101.0, error="a\nb", try_number=2),
    }
    lines = screen(run("running", tasks))
    assert lines[0] == RUN_ID
    assert re.match(r"running +━+ +2/6 tasks ", lines[1])
    assert lines[2] == "done: 1 success"
    assert lines[3].split() == ["task", "state", "try", "took", "worker,", "or", "error"]
    assert names(lines) == ["bad", "busy", "again", "next", "later", "done"]
    assert lines[4].split()[:4] == ["bad", "failed", "2.0", "s"]
    assert lines[4].endswith("  ValueError: no luck")
    assert "up_for_retry  2" in lines[6]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (40, 24), (40, 10), (20, 6)])
@pytest.mark.parametrize("number", [1, 5, 500])
def test_it_fits_and_counts_what_it_does_not_show(width, height, number):
    long = "x" * 150
    tasks = {f"done_{i}": task("success", 100.0, 101.0 + i) for i in range(number)}
    tasks |= {f"bad_{i}_{long}": task("failed", 100.0, error=long * 9) for i in range(number)}
    tasks |= {f"busy_{i}": task("running", 100.0, worker=long) for i in range(number)}
    tasks |= {f"wait_{i}": task("none") for i in range(number)}
    lines = screen(run("running", tasks, run_id=long[:90]), width, height, note=f"{long} why " * 9)
    shown = names(lines)
    counts = re.findall(r"(\d+) (failed|running|none)", lines_of(lines))
    told = {state: int(count) for count, state in counts}
    for state, kind in (("failed", "bad_"), ("running", "busy_"), ("none", "wait_")):
        rows = sum(name.startswith(kind) for name in shown)
        # On a screen too narrow for the counts they are cut.
        assert rows + told.get(state, 0) == number or width < 80
    if width >= 80:
        assert any(name.startswith("bad_") for name in shown)
        assert any(name.startswith("busy_") for name in shown)


def lines_of(lines):
    return next((line for line in lines if line.startswith("not shown: ")), "")


def test_a_big_screen_is_used():
    tasks = {f"t{i}": task("success", 100.0, 101.0 + i) for i in range(60)}
    tasks |= {"busy": task("running", 100.0, worker="w@h")}
    lines = screen(run("running", tasks), 200, 50)
    assert len(lines) == 49
    assert names(lines) == ["busy", *(f"t{i}" for i in range(59, 59 - 44, -1))]
    assert "done: 60 success" in lines


@pytest.mark.parametrize("width", [40, 80])
def test_on_a_narrow_screen_it_is_still_told_what_went_wrong(width):
    tasks = {"load_all_orders_of_all_countries.17": task("failed", 1.0, 2.0, error="Boom: 403")}
    tasks |= {"b": task("up_for_retry", 1.0, 2.0, try_number=2, error="Boom: 404")}
    lines = screen(run("running", tasks), width)
    assert [line.rstrip().rpartition("  ")[2] for line in lines[-2:]] == ["Boom: 403", "Boom: 404"]
    assert lines[-2].split()[0].endswith(".17")


def test_what_is_shown_below_is_wrapped_and_cut():
    lines = screen(run("running", {"a": task("queued")}), note="one two three " * 40)
    assert [line.startswith("one two") or "three" in line for line in lines[-3:]] == [True] * 3
    assert lines[-1].endswith("…")


def test_terminal_controls_of_an_error_are_shown():
    lines = screen(run("running", {"a": task("failed", error="\x1b[2Jgone\x07")}))
    assert "\\x1b[2Jgone\\x07" in lines[-1]


def test_ids_are_shortened_in_the_middle():
    assert shortened("abc", 3) == "abc"
    assert shortened("orders_of_customers.17", 12) == "orders_o….17"


# Watching


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=24, color_system=None)


def stalled(clock, *snapshots):
    """Of each snapshot, seen at that time, the lines that the screen has."""
    told = []
    console = terminal()
    times = iter(clock)

    def each():
        for snapshot in snapshots:
            yield snapshot
            told.append(console.file.getvalue())
            console.file.seek(0)
            console.file.truncate()

    reasons = (f"reason {number}" for number in itertools.count(1))
    progress.watch(each(), console, lambda _: next(reasons), lambda: next(times))
    return [re.findall(r"reason \d", text) for text in told]


def test_after_five_still_seconds_the_table_says_why_until_something_happens():
    still = run("running", {"a": task("queued")})
    moved = run("running", {"a": task("running", 1.0)})
    times = [0, 4.9, 5, 6, 7.1, 8, 12.9, 13]
    assert stalled(times, *[still] * 5, moved, moved, moved) == [
        [],
        [],
        ["reason 1"],
        ["reason 1"],
        ["reason 2"],
        [],
        [],
        ["reason 3"],
    ]


def test_what_has_ended_needs_no_reason():
    ended = run("success", {"a": task("success", 1.0, 2.0)})
    assert stalled([0, 50], ended, ended) == [[], []]


def test_a_terminal_that_is_resized_is_drawn_anew(monkeypatch):
    snapshot = run("running", {f"t{i}": task("running", 1.0) for i in range(90)})
    console = terminal()

    def each():
        yield snapshot
        console.size = (50, 12)
        console.file.seek(0)
        console.file.truncate()
        yield snapshot
        console.text = console.file.getvalue()

    progress.watch(each(), console)
    drawn = console.text.rpartition("\x1b[H")[2]
    assert drawn != console.text
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn).splitlines()
    assert len([line for line in lines if line.strip()]) <= 11
    assert max(map(len, lines)) <= 50


@pytest.mark.parametrize("raised", [KeyboardInterrupt, RuntimeError])
def test_the_cursor_is_there_again_however_watching_ends(raised):
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)

    def each():
        yield run("running", {"a": task("running", 1.0)})
        raise raised

    with pytest.raises(raised):
        progress.watch(each(), console)
    shown = console.file.getvalue()
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert shown.endswith("\x1b[?25h") or shown.rstrip("\x1b[?25h").endswith("\n")


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    progress.watch([run("success", {"a": task("success", 100.0, 102.5)})], console)
    assert [line[9:] for line in console.file.getvalue().splitlines()] == [
        "a: success after 2.5 s",
        f"run {RUN_ID}: success",
    ]


def test_without_colours_there_are_none(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    progress.watch([run("running", {"a": task("failed", 1.0)})], console, lambda _: "why")
    codes = re.findall(r"\x1b\[([0-9;]*)m", console.file.getvalue())
    assert not {code for text in codes for code in text.split(";")} - {"", "0", "1", "2"}


# Lines


def test_without_a_terminal_each_change_is_one_line():
    lines = watched(
        run("queued", {"a": task("none"), "b": task("none")}),
        run("running", {"a": task("queued"), "b": task("none")}),
        run("running", {"a": task("running", 100.0, worker="w@h"), "b": task("none")}),
        run("running", {"a": task("running", 100.0, worker="w@h"), "b": task("none")}),
        run("success", {"a": task("success", 100.0, 102.5), "b": task("skipped")}),
    )
    assert lines == [
        f"run {RUN_ID}: queued",
        f"run {RUN_ID}: running",
        "a: running on w@h",
        "a: success after 2.5 s",
        "b: skipped",
        f"run {RUN_ID}: success",
    ]


def test_a_second_try_is_told_too():
    lines = watched(
        run("running", {"a": task("running", 100.0, worker="w@h")}),
        run("running", {"a": task("up_for_retry", 100.0, 100.5, error="x\nbecause")}),
        run("running", {"a": task("running", 101.0, worker="w@h", try_number=2)}),
        run("failed", {"a": task("failed", 101.0, 102.0, try_number=2)}),
    )
    assert lines[2:5] == [
        "a: up_for_retry, try 1 failed: x … because",
        "a: running on w@h, try 2",
        "a: failed after 1.0 s: it broke",
    ]


def test_what_is_being_stopped_is_told():
    lines = watched(
        run("cancelling", {"a": task("cancelling", 100.0, worker="w@h"), "b": task("cancelled")}),
        run("cancelled", {"a": task("cancelled", 100.0, 101.0), "b": task("cancelled")}),
    )
    assert lines == [
        f"run {RUN_ID}: cancelling",
        "a: cancelling",
        "b: cancelled",
        "a: cancelled after 1.0 s",
        f"run {RUN_ID}: cancelled",
    ]


def test_a_big_dag_is_told_in_counts_and_failures():
    tasks = {f"t{i}": task("success", 100.0, 101.0) for i in range(300)}
    busy = {"z": task("running", 101.0)}
    bad = {"z": task("failed", 101.0, 102.0)}
    states = (("running", busy), ("running", bad), ("failed", bad))
    lines = watched(*(run(state, tasks | more) for state, more in states))
    assert lines == [
        f"run {RUN_ID}: running",
        "1 running, 300 success",
        "z: failed after 1.0 s: it broke",
        "1 failed, 300 success",
        f"run {RUN_ID}: failed",
    ]


def test_the_reason_of_a_pause_is_one_line_unless_something_runs():
    still = run("running", {"a": task("queued")})
    busy = run("running", {"a": task("running", 1.0, worker="w")})
    times = iter([0, 5, 6, 9, 10, 20, 21])
    lines = watched(
        *[still] * 4, busy, busy, still, explain=lambda _: "no worker", now=lambda: next(times)
    )
    assert lines == [
        f"run {RUN_ID}: running",
        "no worker",
        "a: running on w",
        f"run {RUN_ID}: running",
    ]


# What `status` shows


def test_all_tasks_are_shown_in_the_order_of_their_starts():
    tasks = {"c": task("none"), "b": task("none"), "late": task("running", 102.0)}
    tasks |= {"z": task("success", 100.0, 101.0)}
    lines = printed(status_screen(run("running", tasks, submitted_by="ann@host"), 110.0, 80), 80)
    assert lines[2].startswith("submitted 1970-01-01 ")
    assert lines[2].endswith(" by ann@host")
    assert lines[3].startswith("started ")
    assert [line.split()[0] for line in lines[4:]] == ["task", "z", "late", "c", "b"]


def test_only_a_later_try_is_numbered():
    tasks = {"a": task("success", 100.0, 101.0), "b": task("success", 100.0, 101.0, try_number=2)}
    rows = [line.split() for line in printed(status_screen(run("success", tasks), 110.0, 120))]
    assert rows[-2:] == [["a", "success", "1.0", "s"], ["b", "success", "2", "1.0", "s"]]


def test_errors_are_shown_in_one_line_each_and_not_too_long():
    error = "Traceback (most recent call last):\n  File x\nValueError: \x1b[31mno"
    tasks = {"a": task("failed", 100.0, 101.0, error=error, try_number=3)}
    tasks |= {f"b{i}": task("failed", 102.0, 103.0, error="y" * 5000) for i in range(30)}
    lines = printed(status_screen(run("failed", tasks), 110.0, 10_000), 10_000)
    told = [line for line in lines if ", try " in line]
    assert told[0] == "a, try 3: ValueError: \\x1b[31mno"
    assert (len(told), max(map(len, told))) == (20, len("b12, try 1: ") + 297)
    assert lines[-1] == f"11 more have failed: pydag status {RUN_ID} --json"


def test_the_rounds_and_the_end_of_a_run_are_told():
    tasks = {"a": task("failed", 100.0, 101.0)}
    resumed = run("failed", tasks, rounds=3, spent=5.0, reason="timeout")
    lines = printed(status_screen(resumed, 110.0, 80), 80)
    assert "15.0 s  round 3" in lines[1]
    told = [line for line in lines if line.startswith("resumed   2 times: this is round 3, which")]
    assert len(told) == 1
    assert any(line.startswith("ended ") and line.endswith(", by its timeout") for line in lines)


def test_what_was_billed_and_what_was_cached_is_shown_where_there_is_any():
    tasks = {
        "a": task("success", 100.0, 101.0, result={"bytes_billed": 30_000_000}),
        "b": task("success", 100.0, 101.0, result={"bytes_billed": 0, "cached_from": "d-0"}),
        "c": task("success", 100.0, 101.0, result=[{"bytes_billed": 5}]),
    }
    snapshot = run("success", tasks)
    rows = [line.split() for line in printed(status_screen(snapshot, 110.0, 120))]
    assert rows[1][-3:] == ["30.0", "MB", "billed"]
    assert rows[-3:] == [
        ["a", "success", "1.0", "s", "30.0", "MB", "billed"],
        ["b", "success", "1.0", "s", "cached", "from", "d-0"],
        ["c", "success", "1.0", "s"],
    ]
    told = snapshot.to_dict()
    assert told["bytes_billed"] == 30_000_000
    assert [one["bytes_billed"] for one in told["tasks"].values()] == [30_000_000, 0, None]
    assert [one["cached_from"] for one in told["tasks"].values()] == [None, "d-0", None]


@pytest.mark.parametrize("width", [80, 40])
def test_a_status_fits_its_screen(width):
    tasks = {f"load_{i}": task("failed", 100.0, error="z" * 900, worker="w" * 90) for i in range(9)}
    lines = printed(status_screen(run("failed", tasks), 110.0, width), width)
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines if "failed " in line][1:10] == list(tasks)


def test_a_status_without_a_terminal_says_the_same():
    tasks = {"a": task("failed", 100.0, 101.0, error="no \x1b[31mluck"), "ü": task("none")}
    page = status_screen(
        run("failed", tasks, error="bad\nplan", submitted_by="ann@host"), 110.0, 10_000
    )
    bars = re.compile(" +━*[ ╸]*(?=1/2 tasks)")
    shown = [bars.sub("  ", line.rstrip()) for line in printed(page, 10_000)]
    assert list(page.plain()) == shown


def test_durations_read_well():
    assert duration(None, None) == ""
    assert duration(1.0, 2.25) == "1.2 s"
    assert duration(0.0, 61.0) == "1:01 min"
    assert duration(0.0, 3661.0) == "1:01:01"
    assert span(0.0123) == "12 ms"
    assert span(0.0996) == "0.1 s"
    assert span(59.96) == "1:00 min"
    assert span(None) == ""


def test_the_timeline_has_waiting_and_running_on_one_scale():
    tasks = {
        "second": task("success", 105.0, 110.0, ready_at=102.5, worker="w2@h"),
        "first": task("success", 100.0, 105.0, ready_at=100.0, worker="w1@h"),
        "never": task("skipped"),
    }
    assert timeline(run("success", tasks), 110.0, width=20) == [
        "first  |██████████          |    5.0 s  w1@h",
        "second |     ·····██████████|    5.0 s  w2@h",
    ]


def test_the_timeline_of_a_run_that_did_nothing_is_empty():
    assert timeline(run("success", {"a": task("skipped")}), 110.0) == []


def test_a_short_task_at_the_end_still_has_a_bar():
    tasks = {
        "long": task("success", 100.0, 110.0, worker="w@h"),
        "short": task("success", 109.999, 110.0, worker="w@h"),
    }
    assert timeline(run("success", tasks), 110.0, width=10)[1].startswith("short |         █|")


def test_every_state_has_its_colour():
    states = {*TASK_STATES, *get_args(RunState)}
    assert {state: coloured(state).style for state in states} == {
        "none": "",
        "success": "green",
        "running": "cyan",
        "queued": "yellow",
        "ready": "yellow",
        "deferred": "blue",
        "expanding": "blue",
        "up_for_retry": "magenta",
        "cancelling": "magenta",
        "failed": "bold red",
        "upstream_failed": "red",
        "cancelled": "red",
        "skipped": "dim",
    }


@pytest.mark.parametrize(
    ("counts_as", "colour"),
    [("ok", "green"), ("bad", "red"), ("dead_up", "red"), ("skips", "dim"), (None, "yellow")],
)
def test_a_new_state_has_the_colour_of_what_it_counts_as(monkeypatch, counts_as, colour):
    counted = {**COUNTS_AS, "new": counts_as} if counts_as else COUNTS_AS
    monkeypatch.setattr("pydag_dist.cli.display.states.COUNTS_AS", counted)
    assert coloured("new").style == colour


def test_whatever_tasks_downstream_count_has_a_colour():
    assert {*COUNTS_AS.values()} == {*COUNTED}
