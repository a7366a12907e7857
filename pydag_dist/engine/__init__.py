"""The engine: the state of every run, kept in Redis by one atomic script per transition.

Start reading at ``lua/table.lua``: states, transitions, keys and their invariants.
"""

from pydag_dist.engine.connection import connect
from pydag_dist.engine.engine import Engine
from pydag_dist.engine.members import Member, Refusal, Unserved, unserved
from pydag_dist.engine.safety import address, check_redis, is_passing, is_refusal, refusal
from pydag_dist.engine.snapshot import (
    ENDED_RUN_STATES,
    ENDED_TASK_STATES,
    Event,
    RunSnapshot,
    RunSummary,
    TaskSnapshot,
)
from pydag_dist.engine.values import (
    CHUNK,
    Claim,
    Deferral,
    Due,
    Held,
    LogPart,
    LostTask,
    Outcome,
    PlannedTask,
)

__all__ = [
    "CHUNK",
    "ENDED_RUN_STATES",
    "ENDED_TASK_STATES",
    "Claim",
    "Deferral",
    "Due",
    "Engine",
    "Event",
    "Held",
    "LogPart",
    "LostTask",
    "Member",
    "Outcome",
    "PlannedTask",
    "Refusal",
    "RunSnapshot",
    "RunSummary",
    "TaskSnapshot",
    "Unserved",
    "address",
    "check_redis",
    "connect",
    "is_passing",
    "is_refusal",
    "refusal",
    "unserved",
]
