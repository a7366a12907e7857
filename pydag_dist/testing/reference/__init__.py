"""A reference model of the engine: the table of ``lua/table.lua`` in plain Python.

It keeps only what the table calls state and derives the rest (`ready`, `active`, leases), so
that comparing it with the engine's keys also checks the invariants of those keys. Everything
happens at once and in memory. `now` counts what happened; times are in ms, and only whoever
drives it lets time pass.

The files are those of the engine's Lua, and each class adds to the one before: `state` and
`rules`, then `queue`, `spread`, `outcome`, `runs`, `workers`, and the `engine` with its tick.
"""

from __future__ import annotations

from pydag_dist.testing.reference.engine import ReferenceEngine
from pydag_dist.testing.reference.rules import decide
from pydag_dist.testing.reference.state import (
    ENDED,
    ENDED_RUN,
    MAX_DEATHS,
    MAX_LOSSES,
    Message,
    RefRun,
    RefTask,
)

__all__ = [
    "ENDED",
    "ENDED_RUN",
    "MAX_DEATHS",
    "MAX_LOSSES",
    "Message",
    "RefRun",
    "RefTask",
    "ReferenceEngine",
    "decide",
]
