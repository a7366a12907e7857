"""The engine's Python face: all that can be done with the state in Redis, by roles."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Self

from pydag_dist.engine.store import Store

if TYPE_CHECKING:
    import redis

    from pydag_dist.engine.backfills.backfilling import Backfilling
    from pydag_dist.engine.listing import RunIndex
    from pydag_dist.engine.protocol import Source
    from pydag_dist.engine.roles.logs import Logs
    from pydag_dist.engine.roles.measuring import Measuring
    from pydag_dist.engine.roles.membership import Membership
    from pydag_dist.engine.roles.planning import Planning
    from pydag_dist.engine.roles.publishing import Publishing
    from pydag_dist.engine.roles.reading import Reading
    from pydag_dist.engine.roles.steering import Steering
    from pydag_dist.engine.roles.watching import Watching
    from pydag_dist.engine.roles.webhooks import DueWebhooks
    from pydag_dist.engine.roles.working import Working

_ROLES: Final = {
    "steering": "roles.steering.Steering",
    "planning": "roles.planning.Planning",
    "working": "roles.working.Working",
    "publishing": "roles.publishing.Publishing",
    "backfilling": "backfills.backfilling.Backfilling",
    "reading": "roles.reading.Reading",
    "watching": "roles.watching.Watching",
    "runs": "listing.RunIndex",
    "membership": "roles.membership.Membership",
    "webhooks": "roles.webhooks.DueWebhooks",
    "logs": "roles.logs.Logs",
    "measuring": "roles.measuring.Measuring",
}


class Engine:
    """The state of every run, in Redis, over one connection pool and one script.

    A caller needs one or two of the roles: clients steer and read, coordinators plan, workers
    work. `client` decodes responses; `source` is counted for the messages that calls push.
    """

    steering: Steering
    planning: Planning
    working: Working
    publishing: Publishing
    backfilling: Backfilling
    reading: Reading
    watching: Watching
    runs: RunIndex
    membership: Membership
    webhooks: DueWebhooks
    logs: Logs
    measuring: Measuring

    def __init__(self, client: redis.Redis, prefix: str = "pydag", source: Source = "tick") -> None:
        self.store = Store(client, prefix, source)

    def __getattr__(self, name: str) -> Any:
        """Import a role at its first use: a caller needs one or two of twelve."""
        if name not in _ROLES:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        file, _, kind = _ROLES[name].rpartition(".")
        role = getattr(import_module(f"pydag_dist.engine.{file}"), kind)(self.store)
        setattr(self, name, role)
        return role

    @classmethod
    def from_url(cls, url: str, prefix: str = "pydag", source: Source = "tick") -> Self:
        """An engine with a connection pool of its own."""
        from pydag_dist.engine.connection import connect

        return cls(connect(url), prefix, source)

    def tick(self) -> bool:
        """Do what time does; False if another tick ran less than 0.5 s ago.

        Every coordinator and every worker calls it.
        """
        epoch = self.store.redis.info("server")["run_id"]
        done, _, _ = self.store.call("tick", epoch)
        return bool(done)
