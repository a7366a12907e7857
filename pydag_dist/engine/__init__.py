"""The engine: the state of every run, kept in Redis by one atomic script per transition.

Start reading at ``lua/table.lua``: states, transitions, keys and their invariants.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydag_dist.engine.connection import (
        address,
        check_redis,
        connect,
        is_refusal,
        is_transient,
        refusal,
    )
    from pydag_dist.engine.engine import Engine
    from pydag_dist.engine.head import RunSummary
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
        End,
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
    "End",
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

_HOMES = {
    "pydag_dist.engine.connection": "address check_redis connect is_refusal is_transient refusal",
    "pydag_dist.engine.engine": "Engine",
    "pydag_dist.engine.head": "RunSummary",
    "pydag_dist.engine.listing": "MAX_SCANNED Listing RunFilter RunIndex",
    "pydag_dist.engine.members": "Member Refusal Unserved unserved",
    "pydag_dist.engine.protocol": "ENDED_RUN_STATES ENDED_TASK_STATES Outcome",
    "pydag_dist.engine.roles.membership": "Membership",
    "pydag_dist.engine.roles.planning": "Planning",
    "pydag_dist.engine.roles.reading": "Reading",
    "pydag_dist.engine.roles.steering": "Steering",
    "pydag_dist.engine.roles.webhooks": "DueWebhooks",
    "pydag_dist.engine.roles.working": "Working",
    "pydag_dist.engine.snapshot": "Event RunSnapshot TaskSnapshot task_ids unplanned",
    "pydag_dist.engine.store": "Store unknown_run",
    "pydag_dist.engine.values": "CHUNK Claim Deferral Due End Held LogPart LostTask Next "
    "PlannedTask",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a name at its first use: a command that lists runs needs a third of the engine."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOME[name]), name)
    globals()[name] = found
    return found
