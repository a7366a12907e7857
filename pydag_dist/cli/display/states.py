"""How states are shown: their colours, and which tasks of a run are looked for first."""

from __future__ import annotations

from typing import Final

from pydag_dist.cli.display.tables import Cell
from pydag_dist.engine import ENDED_TASK_STATES
from pydag_dist.engine.protocol import COUNTS_AS

# States that stand out. Every other one has a colour by how tasks downstream count it, if at all.
COLOURS: Final = {
    "none": "",
    "running": "cyan",
    "deferred": "blue",
    "expanding": "blue",
    "up_for_retry": "magenta",
    "cancelling": "magenta",
    "failed": "bold red",
}
COUNTED: Final = {"ok": "green", "bad": "red", "dead_up": "red", "skips": "dim"}
# A watched run shows them in this order. Every state that is in none of them is under way.
FAILED: Final = ("failed",)
WAITING: Final = ("queued", "ready", "none")
DONE: Final = ENDED_TASK_STATES - {*FAILED}

# Somebody works on the task, or asks for its remote job.
AT_WORK: Final = frozenset({"running", "deferred"})


def colour(state: str) -> str:
    """The colour of a state: yellow if it waits and has none of its own."""
    return COLOURS.get(state, COUNTED.get(COUNTS_AS.get(state, ""), "yellow"))


def coloured(state: str) -> Cell:
    """A state in its colour."""
    return Cell(state, colour(state))
