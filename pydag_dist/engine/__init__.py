"""The engine: the state of every run, kept in Redis by one atomic script per transition.

Start reading at ``lua/table.lua``: states, transitions, keys and their invariants.
"""

from pydag_dist.engine.connection import (
    address,
    check_redis,
    connect,
    is_refusal,
    is_transient,
    refusal,
)
from pydag_dist.engine.engine import Engine
from pydag_dist.engine.listing import MAX_SCANNED, Listing, RunFilter, RunIndex
from pydag_dist.engine.members import Member, Refusal, Unserved, unserved
from pydag_dist.engine.protocol import ENDED_RUN_STATES, ENDED_TASK_STATES, Outcome
from pydag_dist.engine.roles.membership import Membership
from pydag_dist.engine.roles.planning import Planning
from pydag_dist.engine.roles.reading import Reading
from pydag_dist.engine.roles.steering import Steering
from pydag_dist.engine.roles.webhooks import DueWebhooks
from pydag_dist.engine.roles.working import Working
from pydag_dist.engine.snapshot import (
    Event,
    RunSnapshot,
    RunSummary,
    TaskSnapshot,
    task_ids,
    unplanned,
)
from pydag_dist.engine.store import Store, unknown_run
from pydag_dist.engine.values import (
    CHUNK,
    Claim,
    Deferral,
    Due,
    Held,
    LogPart,
    LostTask,
    Next,
    PlannedTask,
)

__all__ = [
    "CHUNK",
    "ENDED_RUN_STATES",
    "ENDED_TASK_STATES",
    "MAX_SCANNED",
    "Claim",
    "Deferral",
    "Due",
    "DueWebhooks",
    "Engine",
    "Event",
    "Held",
    "Listing",
    "LogPart",
    "LostTask",
    "Member",
    "Membership",
    "Next",
    "Outcome",
    "PlannedTask",
    "Planning",
    "Reading",
    "Refusal",
    "RunFilter",
    "RunIndex",
    "RunSnapshot",
    "RunSummary",
    "Steering",
    "Store",
    "TaskSnapshot",
    "Unserved",
    "Working",
    "address",
    "check_redis",
    "connect",
    "is_refusal",
    "is_transient",
    "refusal",
    "task_ids",
    "unknown_run",
    "unplanned",
    "unserved",
]
