"""A reference model of backfills, in plain Python: which due times are decided on, and how.

It is written from the table of ``lua/table.lua``. A backfill decides on each due time once and in
order, as far as its runs leave room, and only while it is running.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ENDED = ("success", "failed", "cancelled")


@dataclass
class RefBackfill:
    dag: str
    period: int  # of the schedule that it goes by
    due: list[int]  # still to be decided on, in order
    newest_first: bool
    again: str
    max_active: int
    state: str = "running"
    total: int = 0
    runs: dict[int, str] = field(default_factory=dict)  # due time -> the state of its run
    left: int = 0
    first: int = 0
    last: int = 0
    loose: list[int] = field(default_factory=list)  # left out, and the history can't know yet

    def __post_init__(self) -> None:
        self.total = len(self.due)
        self.first, self.last = min(self.due), max(self.due)

    @property
    def next(self) -> int | None:
        return self.due[0] if self.due else None

    @property
    def is_open(self) -> bool:
        return self.state not in ("done", "cancelled")

    @property
    def active(self) -> set[int]:
        return {at for at, state in self.runs.items() if state == "queued"}

    def counts(self, state: str) -> int:
        return sum(found == state for found in self.runs.values())

    def is_wanted(self, states: list[str]) -> bool:
        """Whether a due time gets a run of which there are runs in these states."""
        if any(state not in ENDED for state in states):
            return False
        if self.again == "none":
            return not states
        return self.again == "all" or "success" not in states

    def advance(self, states: dict[int, list[str]]) -> None:
        """As far as it can; `states` are those of the runs of due times, which it adds to."""
        if self.state == "cancelling":
            for at in self.active:
                self.runs[at] = "cancelled"
        while self.state == "running" and self.due and len(self.active) < self.max_active:
            at = self.due.pop(0)
            if self.is_wanted(states.get(at, [])):
                self.runs[at] = "queued"
                self.loose = []
            else:
                self.left += 1
                self.loose.append(at)
        self.tidy()

    def end(self, at: int, state: str) -> None:
        self.runs[at] = state
        self.tidy()

    def restored(self) -> None:
        """Redis has lost it, and got it back from the history: some is to be decided again."""
        self.due = self.loose + self.due
        self.left -= len(self.loose)
        self.loose = []

    def pause(self) -> None:
        self.state, self.loose = "paused", []

    def tidy(self) -> None:
        if self.active or not self.is_open:
            return
        if self.state == "cancelling":
            self.state = "cancelled"
        elif not self.due:
            self.state = "done"

    def cancel(self) -> None:
        if self.state in ("running", "paused"):
            self.state, self.loose = "cancelling", []
            self.tidy()

    def unpause(self, period: int) -> None:
        """It goes on by a schedule of that period."""
        self.state, self.loose = "running", []
        if self.due:
            self.period = period
            begin, end = (
                (self.first, self.due[0]) if self.newest_first else (self.due[0], self.last)
            )
            self.due = [at for at in range(begin, end + 1) if at % period == 0]
            if self.newest_first:
                self.due.reverse()
        self.total = len(self.runs) + self.left + len(self.due)
        self.tidy()
