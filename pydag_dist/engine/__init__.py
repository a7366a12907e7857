"""The engine: the state of every run, kept in Redis by one atomic script per transition.

Start reading at ``lua/table.lua``: states, transitions, keys and their invariants.
"""

from pydag_dist.engine.engine import CHUNK, Claim, Engine, Held, Outcome, PlannedTask
from pydag_dist.engine.safety import check_redis, is_passing
from pydag_dist.engine.snapshot import (
    ENDED_RUN_STATES,
    ENDED_TASK_STATES,
    Event,
    RunSnapshot,
    RunSummary,
    TaskSnapshot,
)

__all__ = [
    "CHUNK",
    "ENDED_RUN_STATES",
    "ENDED_TASK_STATES",
    "Claim",
    "Engine",
    "Event",
    "Held",
    "Outcome",
    "PlannedTask",
    "RunSnapshot",
    "RunSummary",
    "TaskSnapshot",
    "check_redis",
    "is_passing",
]
