"""A reference model of published DAGs, in plain Python: when each is due, and what its runs are.

It is written from the table of ``lua/table.lua``. A due time is a number of seconds; a schedule is
due every `period` seconds, counted from 0. Every due time since a DAG was published is settled
once: it has one run, or it was said to be missed; or it is still to come.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RefSchedule:
    period: int
    catchup: bool
    max_active: int

    def after(self, at: int) -> int:
        """The first due time later than that."""
        return (at // self.period + 1) * self.period

    def between(self, first: int, last: int) -> list[int]:
        """The due times from the one to the other."""
        return list(range(first, last + 1, self.period))


@dataclass
class RefDag:
    version: int = 0
    text: str = ""
    source: str = ""
    schedule: RefSchedule | None = None
    published: bool = False
    paused: bool = False
    due: int | None = None
    settled: int = 0
    held: bool = False
    runs: dict[int, str] = field(default_factory=dict)  # due time -> the state of its run
    missed: set[int] = field(default_factory=set)

    @property
    def active(self) -> int:
        return sum(state == "queued" for state in self.runs.values())

    @property
    def seen(self) -> tuple[int, int | None]:
        return self.version, self.due

    def come(self, now: int) -> list[int]:
        """The due times that have come and are not settled."""
        if not self.published or self.schedule is None or self.due is None:
            return []
        return self.schedule.between(self.due, now)

    def publish(self, text: str, schedule: RefSchedule | None, now: int, source: str) -> bool:
        """Whether it is a new version; else it may be moved."""
        self.source = source
        if self.published and self.text == text:
            return False
        timing = self.schedule and self.schedule.period
        if not self.published or timing != (schedule and schedule.period):
            self.miss(self.come(now))
            self.due = schedule.after(max(now, self.settled)) if schedule else None
        if not self.published:
            self.paused = False
        self.version += 1
        self.text, self.schedule, self.published, self.held = text, schedule, True, False
        return True

    def unpublish(self, now: int) -> None:
        self.miss(self.come(now))
        self.published = self.paused = self.held = False
        self.due = self.schedule = None

    def pause(self) -> None:
        self.paused, self.held = True, False

    def unpause(self, now: int) -> None:
        self.paused = self.held = False
        if self.schedule and not self.schedule.catchup and (come := self.come(now)):
            self.miss(come)
            self.due = self.schedule.after(come[-1])

    def fire(self, looked: int, now: int) -> str:
        """By a coordinator that looked at that time, and sees the DAG as it is."""
        come = self.come(looked)
        if self.paused:
            return "paused"
        assert self.schedule
        at = come[0] if self.schedule.catchup else come[-1]
        if at > now:
            return "early"
        if self.active >= self.schedule.max_active:
            self.held = True
            return "held"
        self.miss([time for time in come if time < at])
        assert at not in self.runs
        self.runs[at] = "queued"
        self.settled, self.held = at, False
        self.due = self.schedule.after(at)
        return "made"

    def end(self, at: int, state: str) -> None:
        self.runs[at] = state
        self.held = False

    def miss(self, times: list[int]) -> None:
        assert not self.missed & set(times)
        self.missed |= set(times)
        if times:
            self.settled = max(self.settled, times[-1])

    def restored(self) -> None:
        """Redis has lost it, and got it back from the history."""
        self.held = False
