"""What the benchmarks compute: schedules, ratios and verdicts."""

from __future__ import annotations

import pytest

from benchmarks.report import Goal, verdict
from benchmarks.systems import Measured
from benchmarks.traces import clairvoyant


@pytest.mark.parametrize(("slots", "makespan"), [(1, 9), (2, 5), (9, 5)])
def test_a_clairvoyant_schedule_begins_with_the_longest_path(slots: int, makespan: float) -> None:
    seconds = {"short": 1.0, "other": 1.0, "long": 2.0, "last": 3.0, "end": 2.0}
    after: dict[str, list[str]] = {name: [] for name in seconds} | {"last": ["long"]}
    assert clairvoyant(seconds, after, slots) == makespan


@pytest.mark.parametrize(
    ("ratios", "limits", "said"),
    [
        ([3.0, 4.0, 9.0], {"at_least": 4}, "4.000 (3.000 to 9.000)  goal >= 4: reached"),
        ([3.0, 3.9, 9.0], {"at_least": 4}, "3.900 (3.000 to 9.000)  goal >= 4: MISSED"),
        ([0.1, 0.13, 0.2], {"at_most": 0.12}, "0.130 (0.100 to 0.200)  goal <= 0.12: MISSED"),
    ],
)
def test_a_goal_is_reached_by_the_median_of_the_rounds(
    ratios: list[float], limits: dict[str, float], said: str
) -> None:
    assert verdict(ratios, **limits).strip() == said


def test_ratios_are_those_of_the_same_round() -> None:
    ours, theirs = [Measured(1, 10), Measured(2, 10)], [Measured(8, 10), Measured(20, 10)]
    line = Goal("fan-in", "Celery", at_least=8).line({"fan-in": {"pydag": ours, "Celery": theirs}})
    assert "9.000 (8.000 to 10.000)  goal >= 8: reached" in line
