"""The table of a comparison: median, least and most of each system, the ratios and their goals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.systems import Measured

CPU_KINDS = ("parent", "children", "redis", "coordinator", "all")

Results = dict[str, dict[str, list[Measured]]]  # shape -> system -> one per round

# What a shape is measured by.
VALUES: dict[str, tuple[str, Callable[[Measured], float]]] = {
    "fan-out": ("tasks/s", lambda one: one.rate),
    "fan-in": ("s", lambda one: one.seconds),
    "chain": ("ms/hop", lambda one: 1000 / one.rate),
    "chain, whole": ("s", lambda one: one.whole),
}


@dataclass(frozen=True)
class Goal:
    """The ratio that is the goal for one shape of work: that of pydag's value to another's."""

    shape: str
    other: str
    at_least: float | None = None
    at_most: float | None = None

    def line(self, results: Results) -> str:
        """The ratio of each round's values: its median, its spread, and the verdict."""
        value = VALUES[self.shape][1]
        by_system = results[self.shape]
        pairs = zip(by_system["pydag"], by_system[self.other], strict=True)
        ratios = [value(ours) / value(theirs) for ours, theirs in pairs]
        name = f"pydag / {self.other}"
        if self.shape == "fan-in":  # how many times faster
            ratios, name = [1 / ratio for ratio in ratios], f"{self.other} / pydag"
        return f"{self.shape:14}{name:28}{verdict(ratios, self.at_least, self.at_most)}"


def verdict(
    ratios: list[float], at_least: float | None = None, at_most: float | None = None
) -> str:
    """The median of the ratios, the least and the most, and whether the median reaches the goal."""
    middle = median(ratios)
    if at_least is not None:
        goal, reached = f">= {at_least:g}", middle >= at_least
    else:
        assert at_most is not None
        goal, reached = f"<= {at_most:g}", middle <= at_most
    spread = f"{middle:7.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    return f"{spread}  goal {goal}: {'reached' if reached else 'MISSED'}"


def comparison(results: Results, goals: Iterable[Goal]) -> str:
    """All measurements, the goals, and the CPU time of each kind of process."""
    lines = ["", f"{'':30}{'median':>10}{'min':>10}{'max':>10}"]
    for shape, by_system in results.items():
        unit, value = VALUES[shape]
        for system, measured in by_system.items():
            values = [value(one) for one in measured]
            figures = "".join(f"{one:10.3f}" for one in (median(values), min(values), max(values)))
            lines.append(f"{shape:14}{system:16}{figures} {unit}")
    lines += ["", "ratios, round by round: median (least to most)"]
    lines += [goal.line(results) for goal in goals]
    lines += ["", "CPU microseconds a task (median of the rounds)"]
    lines.append(f"{'':30}" + "".join(f"{kind:>13}" for kind in CPU_KINDS))
    for shape, by_system in results.items():
        for system, measured in by_system.items():
            cells = "".join(f"{_cpu(measured, kind):>13}" for kind in CPU_KINDS)
            if shape != "chain, whole":
                lines.append(f"{shape:14}{system:16}{cells}")
    return "\n".join(lines)


def _cpu(measured: list[Measured], kind: str) -> str:
    if kind != "all" and kind not in measured[0].cpu:
        return "-"
    return f"{median(one.cpu_per_task(kind) for one in measured):.0f}"
