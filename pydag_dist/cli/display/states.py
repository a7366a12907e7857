"""How states are shown: their colours, and which tasks of a run are looked for first."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from pydag_dist.engine import ENDED_TASK_STATES

COLOURS: Final = {
    "success": "green",
    "running": "cyan",
    "queued": "yellow",
    "ready": "yellow",
    "deferred": "blue",
    "expanding": "blue",
    "up_for_retry": "magenta",
    "cancelling": "magenta",
    "failed": "bold red",
    "upstream_failed": "red",
    "cancelled": "red",
    "skipped": "dim",
}
# A watched run shows them in this order. Every state that is in none of them is under way.
FAILED: Final = ("failed",)
WAITING: Final = ("queued", "ready", "none")
DONE: Final = ENDED_TASK_STATES - {*FAILED}

# Somebody works on the task, or asks for its remote job.
AT_WORK: Final = frozenset({"running", "deferred"})


def coloured(state: str) -> Text:
    """A state in its colour."""
    return Text(state, COLOURS.get(state, ""))
