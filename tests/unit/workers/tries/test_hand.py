"""A process's hand: what is told when, and what its parent finds of it after a kill."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pytest

from pydag_dist.engine import Claim, Held, Next
from workers.pool import last_words
from workers.tries import hand as module
from workers.tries.hand import Hand
from workers.tries.outcome import Ended, Untold


def held(number: int) -> Held:
    return Held("r", f"t{number}", 1, f"push-{number}")


class Calls:
    """Hands over three tries, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[list[Held]] = []
        self.kept: list[Held | None] = []
        self.fails = False

    def report_and_go_on(self, untold: Sequence[Untold], *_: str) -> list[Next]:
        self.told.append([each.held for each in untold])
        return [Next(held(number), Claim("run", {}), 1, "dag") for number in (1, 2, 3)]

    def hand_in(self, untold: Sequence[Untold], _: str, kept: Held | None) -> None:
        if self.fails:
            raise OSError("away")
        self.told.append([each.held for each in untold])
        self.kept.append(kept)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    made = Calls()
    monkeypatch.setattr(module, "report_and_go_on", made.report_and_go_on)
    monkeypatch.setattr(module, "hand_in", made.hand_in)
    last_words.prepare()
    yield made
    last_words.forked(os.getpid())
    last_words.of(os.getpid())


def begun(calls: Calls) -> Hand:
    """With one of three that has ended, and one that runs."""
    hand = Hand("python", "w")
    hand.ended(held(0), Ended("success"))
    hand.refill()
    assert calls.told.pop() == [held(0)]
    assert hand.take()
    hand.ended(held(1), Ended("success", "1", expand={"each": 2}, skips=("a",)), 0.001)
    assert hand.take()
    return hand


def left() -> list[Held]:
    """What the parent would find."""
    file = last_words.file()
    assert file is not None
    copy = os.dup(file)
    last_words.forked(os.getpid())
    ends = last_words.of(os.getpid()).ends
    last_words._file = copy  # the process goes on
    return [Held(**end["held"]) for end in ends]


def test_what_has_ended_is_left_to_the_parent_until_redis_has_it(calls: Calls) -> None:
    hand = begun(calls)
    assert left() == [held(1)]
    hand.ended(held(2), Ended("success"), 0.001)
    assert left() == [held(1), held(2)]
    hand.give_back()
    assert calls.told == [[held(1), held(2)]]
    assert left() == []


def test_a_try_that_takes_long_keeps_no_other_waiting(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = begun(calls)
    hand.relieve()  # not yet
    assert calls.told == []
    monkeypatch.setattr(module, "_STALE", 0)
    hand.relieve()
    assert (calls.told, calls.kept) == ([[held(1)]], [held(2)])
    assert hand.take() is None
    hand.relieve()
    assert len(calls.told) == 1  # nothing is left to tell


def test_nothing_is_begun_that_may_have_been_put_back(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = begun(calls)
    monkeypatch.setattr(module, "_STALE", 0)
    calls.fails = True
    with pytest.raises(OSError, match="away"):
        hand.relieve()
    assert hand.take() is None
    assert left() == [held(1)]
    calls.fails = False
    hand.give_back()
    assert calls.told == [[held(1)]]
