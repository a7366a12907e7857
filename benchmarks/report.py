"""The table of a comparison: median, least and most of each system, the ratio and its goal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.systems import Measured

SYSTEMS = ("Celery", "pydag")
CPU_KINDS = ("parent", "children", "redis", "coordinator", "all")


@dataclass(frozen=True)
class Goal:
    """The ratio that is the goal for one shape of work."""

    shape: str
    what: str
    at_least: float | None = None
    at_most: float | None = None

    def verdict(self, ratio: float) -> str:
        if self.at_least is not None:
            return f"{ratio:6.2f}  goal >= {self.at_least:g}: {_word(ratio >= self.at_least)}"
        assert self.at_most is not None
        return f"{ratio:6.2f}  goal <= {self.at_most:g}: {_word(ratio <= self.at_most)}"


def _word(reached: bool) -> str:
    return "reached" if reached else "MISSED"


# The unit of a shape, and which system's value is divided by the other's.
VALUES: dict[str, tuple[str, Callable[[Measured], float], tuple[str, str]]] = {
    "fan-out": ("tasks/s", lambda one: one.rate, ("pydag", "Celery")),
    "fan-in": ("s", lambda one: one.seconds, ("Celery", "pydag")),
    "chain": ("ms/hop", lambda one: 1000 / one.rate, ("pydag", "Celery")),
}


def comparison(results: dict[str, dict[str, list[Measured]]], goals: Iterable[Goal]) -> str:
    lines = ["", f"{'':10}{'':10}{'median':>10}{'min':>10}{'max':>10}"]
    medians: dict[tuple[str, str], float] = {}
    for shape, by_system in results.items():
        unit, value, _ = VALUES[shape]
        for system in SYSTEMS:
            values = [value(one) for one in by_system[system]]
            medians[shape, system] = median(values)
            lines.append(
                f"{shape:10}{system:10}{median(values):10.2f}{min(values):10.2f}"
                f"{max(values):10.2f} {unit}"
            )
    lines += ["", "ratio of the medians"]
    for goal in goals:
        over, under = VALUES[goal.shape][2]
        ratio = medians[goal.shape, over] / medians[goal.shape, under]
        lines.append(f"{goal.shape:10}{goal.what:14}{over} / {under}: {goal.verdict(ratio)}")
    lines += ["", "CPU microseconds a task (median of the rounds)"]
    lines.append(f"{'':20}" + "".join(f"{kind:>13}" for kind in CPU_KINDS))
    for shape, by_system in results.items():
        for system in SYSTEMS:
            cells = [_cpu(by_system[system], kind) for kind in CPU_KINDS]
            lines.append(f"{shape:10}{system:10}" + "".join(f"{cell:>13}" for cell in cells))
    return "\n".join(lines)


def _cpu(measured: list[Measured], kind: str) -> str:
    if kind != "all" and kind not in measured[0].cpu:
        return "-"
    return f"{median(one.cpu_per_task(kind) for one in measured):.0f}"
