"""A process is handed several short tries at once; on an in-memory Redis.

Random histories (tests/model) have more; here stands what they can't show.
"""

from __future__ import annotations

import pytest

from pydag_dist.dag import limits
from pydag_dist.engine import End, Held, Next
from pydag_dist.engine.protocol import unpack_record
from tests.support.engine_bench import Bench, task
from tests.unit.engine.test_run_on import bench, go_on, lapse, renew, state

__all__ = ["bench"]  # a fixture


def known_to_take(bench: Bench, seconds: float, run="r") -> None:
    """The tasks of the run take so long, once the one that ends now counts for a fifth."""
    bench.client.hset(f"p:run:{run}", "share/python", f"0 {round(seconds / 0.8 * 1e6)}")


def handed(bench: Bench, tasks: int, seconds: float = 0.001, **fields) -> tuple[Held, list[Next]]:
    """What a process is handed after a first task of a run of so many others."""
    bench.start(*(task(f"t{i:03}") for i in range(tasks)), **fields)
    known_to_take(bench, seconds)
    held = bench.take()
    return held, go_on(bench, held)[1]


def record(bench: Bench, name: str) -> dict[str, str]:
    return unpack_record(bench.client.hget("p:run:r:tasks", name))


def hand_in(bench: Bench, *ends: End, kept: Held | None = None) -> list[str]:
    return bench.engine.working.hand_in(ends, "w", process=1, kept=kept)


@pytest.mark.parametrize(
    ("seconds", "count"), [(0.0001, limits.HAND), (0.006, 3), (0.012, 1), (0.09, 1), (0.2, 0)]
)
def test_a_hand_takes_a_fiftieth_of_a_second_unless_it_is_one_try(bench, seconds, count):
    assert len(handed(bench, 100, seconds)[1]) == count


def test_of_a_run_whose_tasks_are_not_known_one_is_handed(bench):
    bench.client.hset("p:windows", "mean/python", 1)
    bench.start(task("a"), run="other")
    bench.start(*(task(f"t{i}") for i in range(9)))
    assert len(go_on(bench, bench.take())[1]) == 1


@pytest.mark.parametrize(
    ("slots", "tasks", "count"), [(1, 6, 4), (2, 10, 3), (4, 16, 2), (4, 9, 1), (4, 8, 0)]
)
def test_each_slot_gets_its_share_of_what_is_ready(bench, slots, tasks, count):
    """Twice as many messages as slots are in the queue, of which one has been claimed."""
    bench.slots(slots)
    _, hand = handed(bench, tasks)
    assert len(hand) == count


def test_processors_are_shared_between_slots(bench):
    bench.slots(2)
    _, hand = handed(bench, 100, processors=8)
    # Four wait in the queue, so that four are free now, two for each slot.
    assert len(hand) == 2
    assert len(bench.client.smembers("p:run:r:active")) <= 8


def test_a_hand_is_the_same_when_the_answer_was_lost_and_ends_in_one_call(bench):
    held, hand = handed(bench, 20)
    assert go_on(bench, held) == (["ok"], hand)
    answers, following = go_on(bench, *(each.held for each in hand))
    assert answers == ["ok"] * limits.HAND
    assert len(following) == limits.HAND
    assert bench.engine.reading.snapshot("r").counts["success"] == 1 + limits.HAND


def test_what_was_not_begun_goes_back_without_a_death_or_a_try(bench):
    _, (first, second, *others) = handed(bench, 20)
    dead = End(second.held, "dead", error="of SIGKILL")
    assert hand_in(bench, End(first.held, "success"), dead) == ["ok", "ok"]
    assert state(bench, first.held.task) == "success"
    assert record(bench, second.held.task)["deaths"] == "1"
    for each in others:
        kept = record(bench, each.held.task)
        assert kept["state"] in ("ready", "queued")
        assert (kept["deaths"], kept["losses"], kept["try"], kept["started_at"]) == (*"001", "")
        # Whoever was handed it can't end it any more.
        assert hand_in(bench, End(each.held, "success")) == ["waiting"]
    assert not bench.client.exists("p:holds", "p:leases")


def test_the_try_that_runs_is_kept_while_the_others_go_back(bench):
    _, (first, second, *_) = handed(bench, 20)
    hand_in(bench, End(first.held, "success"), kept=second.held)
    assert bench.client.hvals("p:holds")[0].split()[1:] == [f"r/{second.held.task}"]
    assert hand_in(bench, End(second.held, "success")) == ["ok"]
    assert not bench.client.exists("p:holds")


def test_nothing_goes_back_for_a_try_of_an_earlier_hand(bench):
    """A process went on while its parent told that what waited in its hand was stuck."""
    _, (first, second, *others) = handed(bench, 30)
    ends = [End(each.held, "success") for each in (first, second, *others)]
    _, hand = bench.engine.working.run_on(ends, queue="python", worker="w", process=1)
    assert hand_in(bench, End(first.held, "success"), kept=second.held) == ["ended"]
    assert {state(bench, each.held.task) for each in hand} == {"running"}


def test_leases_of_a_hand_are_kept_with_its_process(bench):
    _, hand = handed(bench, 20)
    lapse(bench)
    renew(bench, processes=[1])
    bench.tick()
    assert {state(bench, each.held.task) for each in hand} == {"running"}


def test_a_task_that_waits_in_a_hand_is_cancelled_without_having_begun(bench):
    _, (first, *others) = handed(bench, 20)
    bench.engine.steering.cancel("r")
    assert {state(bench, each.held.task) for each in others} == {"cancelling"}
    assert hand_in(bench, End(first.held, "success")) == ["ok"]
    assert {state(bench, each.held.task) for each in others} == {"cancelled"}
    assert bench.engine.reading.run_state("r") == "cancelled"


def test_nothing_more_is_handed_once_one_of_several_ends_badly(bench):
    _, hand = handed(bench, 40)
    ends = [End(each.held, "success") for each in hand]
    ends[2] = End(hand[2].held, "stopped")
    answers, following = bench.engine.working.run_on(ends, queue="python", worker="w", process=1)
    assert (answers, following) == (["ok"] * limits.HAND, [])
    assert not bench.client.exists("p:holds")


def test_times_of_a_try_are_those_of_its_process(bench):
    _, (first, *_) = handed(bench, 20)
    bench.client.incrby("p:now", 10_000)
    hand_in(bench, End(first.held, "success", lasted=0.002, ago=0.003))
    kept, now = record(bench, first.held.task), int(bench.client.get("p:now"))
    assert now - int(kept["ended_at"]) == 3_000
    assert int(kept["ended_at"]) - int(kept["started_at"]) == 2_000


def test_a_hand_is_of_the_runs_that_are_next(bench):
    for run in ("a", "b"):
        bench.start(*(task(f"t{i}") for i in range(20)), run=run)
        known_to_take(bench, 0.001, run)
    _, hand = go_on(bench, bench.take())
    assert {each.held.run for each in hand} == {"a", "b"}


def test_hands_take_the_most_urgent_tasks_and_leave_the_rest_as_it_was(bench):
    """A call knows only the front of what waits, and writes what it has changed at its end."""
    runs = ("one", "two")
    for run in runs:
        bench.start(*(task(f"t{i:03}", priority=i % 7) for i in range(40)), run=run)
        known_to_take(bench, 0.001, run)
    held = [bench.take()]
    while held:
        waited = {run: bench.client.zrange(f"p:run:{run}:ready", 0, -1) for run in runs}
        held = [each.held for each in go_on(bench, *held)[1]]
        for run, before in waited.items():
            tasks = [each.task for each in held if each.run == run]
            assert tasks == [member.rpartition("/")[2] for member in before[: len(tasks)]]
            after = bench.client.zrange(f"p:run:{run}:ready", 0, -1)
            assert after == before[len(before) - len(after) :]
            queued = {m for m in bench.client.zrange("p:queued", 0, -1) if m.startswith(run)}
            assert len(before) - len(after) <= len(tasks) + len(queued)
            assert bench.client.smembers(f"p:run:{run}:active") == {
                *tasks,
                *(member.partition("/")[2] for member in queued),
            }
            head = bench.client.hgetall(f"p:run:{run}")
            score = bench.client.zscore("p:fair:python", f"{head.get('since/python')}/{run}")
            assert score == (float(head["share/python"].split()[0]) if after else None)
        assert set(bench.client.zrange("p:leases", 0, -1)) == {f"{h.run}/{h.task}" for h in held}
    assert not bench.client.exists("p:fair:python", *(f"p:run:{run}:ready" for run in runs))


def test_nothing_is_handed_of_a_run_whose_changes_can_not_be_written(bench):
    """What is written at the end of a call is known to fail only after the next ones have begun."""
    bench.start(*(task(f"t{i:03}") for i in range(20)), run="bad")
    bench.start(task("a"), run="good")
    for run in ("bad", "good"):
        known_to_take(bench, 0.001, run)
    held = bench.take()
    bench.client.delete("p:run:bad:active")
    bench.client.set("p:run:bad:active", "not a set")
    answers, hand = go_on(bench, held)
    assert answers == ["broken"]
    assert [each.held.run for each in hand] == ["good"]
    assert bench.engine.reading.run_head("bad")["reason"] == "broken"


def test_whoever_ends_a_hand_goes_on_with_a_cascade_of_its_run_once(bench, monkeypatch):
    """Of each try it hears that more is left to do."""
    gone_on = []
    working = bench.engine.working
    monkeypatch.setattr(working, "_call", lambda *_: ["ok", 1, "ok", 1])
    monkeypatch.setattr(working, "_finish", lambda run, more: gone_on.append((run, more)))
    assert hand_in(bench, *(End(Held("r", t, 1, "1-1"), "success") for t in "ab")) == ["ok", "ok"]
    assert gone_on == [("r", 1)]
