"""How long a process goes on, and after what: the loop of the child, without a worker."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Ignore, Retry

from pydag_dist.engine import Claim, Deferral, Held, Next
from workers.pool import going_on
from workers.settings import WorkerSettings
from workers.tries import hand, run_on
from workers.tries.message import header_of
from workers.tries.outcome import Ended, Untold

FIRST = Held("r", "t0", 1, "push-0")
DONE = Ended("success")


class Play:
    """The tries t1, t2, … follow each other as long as the process goes on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.takes = 0.03  # seconds, each try
        self.ends: dict[str, Any] = {}  # task -> how its try leaves the process, else it is done
        self.handed = 1  # tries at once
        self.released: list[str] = []
        self.told: list[int] = []  # how many in each of these calls
        self.last: list[str] = []  # released without going on
        self.seen: list[tuple[str, str]] = []
        self.wanted: list[bool] = []  # whether anything waited for the slot while they ran
        self.request = SimpleNamespace(
            id="r/t0/1",
            pydag=header_of(FIRST),
            pydag_began=99.0,
            hostname="w",
            delivery_info={"routing_key": "python"},
        )

    def report_and_go_on(self, untold: Sequence[Untold], queue: str, worker: str) -> list[Next]:
        assert (queue, worker) == ("python", "w")
        self.released += [each.held.task for each in untold]
        self.told.append(len(untold))
        first = int(untold[-1].held.task[1:]) + 1
        return [
            Next(Held("r", f"t{number}", 1, f"push-{number}"), Claim("run", {}), 1, "dag")
            for number in range(first, first + self.handed)
        ]

    def hand_in(self, untold: Sequence[Untold], worker: str, kept: Held | None) -> None:
        assert (worker, kept) == ("w", None)
        self.last += [each.held.task for each in untold]

    def is_wanted(self, queue: str) -> bool:
        assert queue == "python"
        return False

    def run_claimed(self, held: Held, _: Claim, *, is_wanted: Any, **__: Any) -> Any:
        self.seen.append((held.task, self.request.pydag["task"]))
        self.wanted.append(is_wanted())
        self.now += self.takes
        end = self.ends.get(held.task, DONE)
        if isinstance(end, SystemExit):
            raise end
        return end

    def go_on(self, ended: Ended = DONE) -> None:
        run_on.release_and_go_on(None, self.request, FIRST, ended)

    def poll(self, given: Any, *asked: str) -> None:
        """It finds that t0 has ended."""
        assert asked == ("acme.x", "push-0")
        given.found(FIRST, DONE)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    made = Play()
    for module, names in (
        (run_on, ("run_claimed",)),
        (hand, ("report_and_go_on", "hand_in", "is_wanted")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(made, name))
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: made.now))
    silent = SimpleNamespace(began=lambda *_: None, ended=lambda *_: None)
    monkeypatch.setattr(run_on, "events", SimpleNamespace(of_this_process=lambda *_: silent))
    monkeypatch.setattr(run_on, "worker_settings", WorkerSettings)
    monkeypatch.setattr(run_on, "shutdown_since", lambda: 0.0)
    going_on.begin_message()
    return made


def test_it_goes_on_for_a_tenth_of_a_second(play: Play) -> None:
    play.go_on()
    assert play.released == ["t0", "t1", "t2", "t3"]
    assert play.last == ["t4"]  # at 0.12 s


def test_one_call_tells_of_a_hand_as_far_as_it_was_begun(play: Play) -> None:
    play.handed, play.takes = 4, 0.012
    play.go_on()
    # After 0.03 s nothing more of a hand is begun, and after 0.1 s of any.
    assert play.told == [1, 3, 3]
    assert play.seen == [(f"t{i}", f"t{i}") for i in range(1, 10)]
    assert play.last == ["t7", "t8", "t9"]


def test_a_process_that_finds_nothing_has_not_gone_on(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its parent tells Flower how the try of its message ended."""
    monkeypatch.setattr(hand, "report_and_go_on", lambda *_: [])
    play.go_on()
    assert not going_on.has_gone_on(os.getpid())


def test_the_time_is_a_setting(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDAG_WORKER_RUN_ON", "0")
    play.go_on()
    assert (play.released, play.last) == ([], ["t0"])
    assert not going_on.has_gone_on(os.getpid())
    monkeypatch.setenv("PYDAG_WORKER_RUN_ON", "1")
    play.last.clear()
    play.go_on()
    assert play.last == ["t34"]


def test_a_long_try_is_the_last_one(play: Play) -> None:
    play.takes = 60
    play.go_on()
    assert (play.released, play.last) == (["t0"], ["t1"])


def test_it_goes_on_after_a_failure(play: Play) -> None:
    play.ends["t1"] = Ended("failed", error="no")
    play.go_on()
    assert play.released == ["t0", "t1", "t2", "t3"]


@pytest.mark.parametrize("outcome", ["dead", "lost", "stopped"])
def test_it_does_not_go_on_after_an_end_that_may_have_left_something(
    play: Play, outcome: Any
) -> None:
    play.ends["t1"] = Ended(outcome, error="no")
    play.go_on()
    assert (play.released, play.last) == (["t0"], ["t1"])


def test_it_goes_on_after_a_try_that_waits_for_its_remote_job(play: Play) -> None:
    waits = Ended("deferred", deferral=Deferral("acme.x", 1.0, "{}"))
    play.ends["t1"] = waits
    play.go_on(waits)
    assert play.released == ["t0", "t1", "t2", "t3"]


def test_it_goes_on_after_a_poll(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_on, "poll", play.poll)
    run_on.poll_and_go_on(None, play.request, Held("*", "acme.x", 0, "push-0"))
    assert play.released == ["t0", "t1", "t2", "t3"]


def test_a_poll_that_finds_nothing_tells_nothing(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_on, "poll", lambda *_: None)
    run_on.poll_and_go_on(None, play.request, Held("*", "acme.x", 0, "push-0"))
    assert play.told == []
    assert not going_on.has_gone_on(os.getpid())


def test_a_remote_job_keeps_no_slot_from_what_waits_in_its_hand(play: Play) -> None:
    play.handed, play.takes = 3, 0.001
    play.ends["t4"] = Retry("given back")
    play.go_on()
    assert play.wanted == [True, True, False, True]


@pytest.mark.parametrize("given_back", [Retry("given back"), Ignore("lost")])
def test_what_is_given_back_is_not_released(play: Play, given_back: Any) -> None:
    play.ends["t1"] = given_back
    play.go_on()
    assert (play.released, play.last) == (["t0"], [])


def test_a_process_whose_worker_ends_takes_nothing(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_on, "shutdown_since", lambda: 1.0)
    play.go_on()
    assert (play.released, play.last) == ([], ["t0"])


@pytest.mark.parametrize(
    ("limits", "goes_on"),
    [
        ({"max_tasks": None, "max_memory": None}, True),
        ({"max_tasks": 100, "max_memory": None}, False),
        ({"max_tasks": None, "max_memory": 1}, False),
        ({"max_tasks": None, "max_memory": 1 << 30}, True),  # KiB
    ],
)
def test_a_process_that_celery_is_to_replace_takes_nothing(
    play: Play, limits: dict[str, Any], goes_on: bool
) -> None:
    run_on.begin_pool(**limits)
    try:
        play.go_on()
    finally:
        run_on.begin_pool(max_tasks=None, max_memory=None)
    assert bool(play.released) is goes_on


def test_a_function_sees_its_own_try_as_celery_s_task(play: Play) -> None:
    play.ends["t3"] = SystemExit()
    with pytest.raises(SystemExit):
        play.go_on()
    assert play.seen == [(f"t{i}", f"t{i}") for i in (1, 2, 3)]
    assert (play.request.id, play.request.pydag["task"]) == ("r/t0/1", "t0")


def test_either_the_process_is_kept_back_or_its_parent_sees_that_it_has_gone_on() -> None:
    pid = os.getpid()
    going_on.begin_message()
    going_on.keep_back(pid)
    assert not going_on.go_on()
    assert not going_on.has_gone_on(pid)
    going_on.begin_message()
    assert going_on.go_on()
    going_on.keep_back(pid)
    assert not going_on.go_on()
    assert going_on.has_gone_on(pid)
    going_on.begin_message()
    assert not going_on.has_gone_on(pid)
