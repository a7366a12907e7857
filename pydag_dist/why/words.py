"""The words of which sentences about a task are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from pydag_dist.engine.head import seconds
from pydag_dist.why.facts import Facts

NAMED: Final = 3  # tasks in one sentence


def is_or_are(number: int) -> str:
    """The verb for so many."""
    return "is" if number == 1 else "are"


def listed(parts: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def ago(at: float | None, now: float) -> str:
    """How long ago that was."""
    return "just now" if at is None or now - at < 1 else f"{span(now - at)} ago"


def with_states(facts: Facts, tasks: Sequence[str]) -> str:
    """The first tasks with their states; the others are counted."""
    named = [f"{task} ({facts.state_of(task)})" for task in tasks[:NAMED]]
    if len(tasks) > NAMED:
        named.append(f"{len(tasks) - NAMED} more")
    return listed(named)


def error_of(facts: Facts, task: str) -> str:
    """The first line of a task's error, to end a sentence with."""
    error = facts.errors.get(task, "").strip()
    return f": {error.splitlines()[0]}" if error else ""


def which_try(facts: Facts) -> str:
    """The number of a try, if the task may have several."""
    number, last = int(facts.record["try"]), int(facts.record["last_try"])
    return f" (try {number} of {last})" if last > 1 else ""


def end_of(facts: Facts) -> str:
    """When a task ended, where, and after how long; as far as it ever started."""
    started, ended = seconds(facts.record["started_at"]), seconds(facts.record["ended_at"])
    at = f"at {clock(ended, facts.now)}" if ended is not None else ""
    if started is None or ended is None or facts.record["reason"] == "marked":
        return at
    return f"{at} after {span(ended - started)} on {facts.record['worker']}"


def span(length: float) -> str:
    """A length of time in words: the two largest units that it needs."""
    if length < 0.0005:
        return "less than 1 ms"
    if length < 0.0995:
        return f"{length * 1000:.0f} ms"
    if length < 60:
        return f"{length:.3g} s"
    minutes, rest = divmod(round(length), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def clock(at: float, now: float) -> str:
    """A time of day where the reader is, with its date if that isn't today's."""
    local, today = (datetime.fromtimestamp(t, UTC).astimezone() for t in (at, now))
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%Y-%m-%d %H:%M:%S")
