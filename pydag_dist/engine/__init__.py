"""The engine: the state of every run, kept in Redis by one atomic script per transition.

Start reading at ``lua/table.lua``: states, transitions, keys and their invariants.
"""

from pydag_dist.engine.connection import connect
from pydag_dist.engine.engine import Engine
from pydag_dist.engine.listing import LOOK, Listing, Wanted
from pydag_dist.engine.members import Member, Refusal, Unserved, unserved
from pydag_dist.engine.naming import find_run, local_day, shortest_name
from pydag_dist.engine.protocol import ENDED_RUN_STATES, ENDED_TASK_STATES, Outcome
from pydag_dist.engine.redis_check import address, check_redis, is_passing, is_refusal, refusal
from pydag_dist.engine.situation import Situation, upstream_of
from pydag_dist.engine.snapshot import (
    Event,
    RunSnapshot,
    RunSummary,
    TaskSnapshot,
    task_ids,
    unplanned,
)
from pydag_dist.engine.values import (
    CHUNK,
    Claim,
    Deferral,
    Due,
    Held,
    LogPart,
    LostTask,
    PlannedTask,
)
from pydag_dist.engine.why import explain
from pydag_dist.engine.why_run import Reason, explain_ended, record_of

__all__ = [
    "CHUNK",
    "ENDED_RUN_STATES",
    "ENDED_TASK_STATES",
    "LOOK",
    "Claim",
    "Deferral",
    "Due",
    "Engine",
    "Event",
    "Held",
    "Listing",
    "LogPart",
    "LostTask",
    "Member",
    "Outcome",
    "PlannedTask",
    "Reason",
    "Refusal",
    "RunSnapshot",
    "RunSummary",
    "Situation",
    "TaskSnapshot",
    "Unserved",
    "Wanted",
    "address",
    "check_redis",
    "connect",
    "explain",
    "explain_ended",
    "find_run",
    "is_passing",
    "is_refusal",
    "local_day",
    "record_of",
    "refusal",
    "shortest_name",
    "task_ids",
    "unplanned",
    "unserved",
    "upstream_of",
]
