"""Published DAGs whose schedules start runs meanwhile, and whether each due time was settled once.

When they are due is worked out here, by whole seconds of the server's clock.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from tests.acceptance.chaos.dags import RandomDag, RandomTask

COUNTED = 1_000  # of more due times that were missed at once only so many are counted
DAY = 86_400  # seconds
BEFORE = 5  # due times of a DAG with `catchup` that have passed when it is published


@dataclass
class Timed:
    """A DAG with a schedule. All times are seconds by the server's clock."""

    dag_id: str
    every: int
    catchup: bool = False
    max_active: int = 1
    ms: int = 100  # that its first task takes
    start: int | None = None  # its start_date
    asked_at: float = 0  # just before it was published
    published_at: float = 0  # just after
    until: float | None = None  # when it was due next as it was paused

    @property
    def dag(self) -> RandomDag:
        """What it is made of."""
        tasks = {"t0": _call("t0", self.ms), "t1": _call("t1", 0, "t0")}
        schedule = {
            "schedule_interval": self.every,
            "catchup": self.catchup,
            "max_active_runs": self.max_active,
        }
        if self.start is not None:
            schedule["start_date"] = datetime.fromtimestamp(self.start, UTC).isoformat()
        return RandomDag(self.dag_id, tasks, schedule=schedule)

    def is_due(self, at: float) -> bool:
        """Whether that is one of its due times since it was published."""
        if self.catchup and self.start is not None:
            return at >= self.start and (at - self.start) % self.every == 0
        return at > self.asked_at and (at - (self.start or 0)) % self.every == 0

    def due_times(self, first: float, last: float) -> range:
        """Its due times from `first` to `last`, both included."""
        origin = self.start or 0
        begin = origin + math.ceil((first - origin) / self.every) * self.every
        return range(begin, math.floor(last) + 1, self.every)

    def settled(self) -> range:
        """The due times that have to be settled."""
        begin = math.floor(self.published_at) + 1
        if self.catchup and self.start is not None:
            begin = self.start
        assert self.until is not None
        return self.due_times(begin, math.ceil(self.until) - 1)


@dataclass(frozen=True)
class Filled:
    """A DAG that is due once a day, its schedule paused, and a backfill of it."""

    dag_id: str
    first: int  # seconds by the server's clock; a due time each day from there on
    count: int
    newest_first: bool

    @property
    def dag(self) -> RandomDag:
        """What it is made of."""
        tasks = {"t0": _call("t0", 50), "t1": _call("t1", 0, "t0")}
        return RandomDag(self.dag_id, tasks, schedule={"schedule_interval": DAY})

    def due_times(self) -> range:
        """Those of the backfill."""
        return range(self.first, self.first + self.count * DAY, DAY)


def filled_dags(count: int, dates: int, now: float) -> list[Filled]:
    """So many, with so many due times each; every other one begins with the newest."""
    first = (int(now) // DAY - dates - 1) * DAY
    return [Filled(f"fill-{i}", first, dates, i % 2 == 1) for i in range(count)]


def judge_backfill(filled: Filled, started: Sequence[Started]) -> Iterator[str]:
    """What is wrong if these are its runs: each due time has one, and nothing excuses another."""
    runs = Counter(run.due for run in started)
    for due in sorted(runs.keys() | set(filled.due_times())):
        if due not in filled.due_times():
            yield f"its backfill has no due time {_text(due)}, which has {runs[due]} runs"
        elif runs[due] != 1:
            yield f"{_text(due)} has {runs[due]} runs of its backfill"


def _call(name: str, ms: int, *upstream: str) -> RandomTask:
    return RandomTask(name, "call", upstream, "all_success", 0, 0, False, ms)


def timed_dags(count: int, every: int, catchup_every: int, now: float) -> list[Timed]:
    """So many DAGs: plain ones, ones with `catchup`, and ones with two runs at once, in turn."""
    made = []
    for i in range(count):
        if i % 3 == 0:
            made.append(Timed(f"due-{i}", every))
        elif i % 3 == 1:
            start = int(now) - BEFORE * catchup_every - 1
            made.append(Timed(f"due-{i}", catchup_every, catchup=True, start=start))
        else:
            # Where slots are short, one still runs when the next one is due.
            made.append(Timed(f"due-{i}", every, max_active=2, ms=every * 500))
    return made


@dataclass(frozen=True)
class Started:
    """A run that a schedule has started, as the history has it; seconds by the server's clock."""

    run_id: str
    dag_id: str
    due: float
    at: float
    ended: bool


@dataclass(frozen=True)
class Missed:
    """An event of the history: due times of a DAG, from `first` to `last`, that get no run."""

    dag_id: str
    count: int
    first: float
    last: float
    at: float


@dataclass
class Tally:
    """What became of all due times, for the report."""

    due: int = 0
    runs: int = 0
    missed: int = 0
    late: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})

    def __str__(self) -> str:
        parts = [f"{self.due} due times: {self.runs} runs, {self.missed} missed and said"]
        for catchup, times in self.late.items():
            if times:
                name = "with" if catchup else "without"
                late = f"{median(times):.2f} s (median), {max(times):.1f} s (worst)"
                parts.append(f"late {name} catchup {late}")
        return "; ".join(parts)


def judge_due_times(
    timed: Timed,
    started: Sequence[Started],
    missed: Sequence[Missed],
    lost: Sequence[tuple[float, float]],
    tally: Tally,
) -> Iterator[str]:
    """What is wrong with a DAG's due times, its runs and what was said to be missed being these.

    A due time is settled once: by its run, or by being missed. What was settled in a time whose
    writes Redis has lost (`lost`, from and until when, by its clock) may be settled again.
    """
    yield from _said(timed, missed)
    yield from (f"{r.run_id} was started before it was due" for r in started if r.at < r.due)
    wanted = timed.settled()
    runs = Counter(run.due for run in started)
    said: Counter[float] = Counter()
    again = {run.due for run in started if _within(run.at, lost)}  # may be settled twice
    for event in missed:
        these = timed.due_times(event.first, event.last)
        said.update(these)
        if _within(event.at, lost):
            again.update(these)
    for due in sorted(runs.keys() | said.keys() | set(wanted)):
        if not timed.is_due(due):
            yield f"it was not due at {_text(due)}, which has {runs[due]} runs"
        elif runs[due] > 1:
            yield f"{_text(due)} has {runs[due]} runs"
        elif runs[due] + said[due] > 1 and due not in again:
            yield f"{_text(due)} has {runs[due]} runs and was said to be missed {said[due]} times"
        elif not runs[due] and not said[due]:
            yield f"{_text(due)} has no run, and was not said to be missed"
    tally.due += len(wanted)
    tally.runs += sum(due in runs for due in wanted)
    tally.missed += sum(due in said and due not in runs for due in wanted)
    tally.late[timed.catchup] += [run.at - run.due for run in started]


def _said(timed: Timed, missed: Sequence[Missed]) -> Iterator[str]:
    for event in missed:
        these = timed.due_times(event.first, event.last)
        if timed.catchup:
            yield f"it has catchup, and {_times(these)} were missed"
        if event.count != min(len(these), COUNTED):
            yield f"{event.count} due times were said to be missed, which are {_times(these)}"


def _within(at: float, spans: Sequence[tuple[float, float]]) -> bool:
    return any(begin <= at <= end for begin, end in spans)


def _times(these: Sequence[float]) -> str:
    return f"{len(these)} due times from {_text(these[0])} to {_text(these[-1])}" if these else "0"


def _text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
