"""The engine's Python face: all that can be done with the state in Redis, by roles."""

from __future__ import annotations

from typing import Self

import redis

from pydag_dist.engine.backfills.backfilling import Backfilling
from pydag_dist.engine.connection import connect
from pydag_dist.engine.listing import RunIndex
from pydag_dist.engine.protocol import Source
from pydag_dist.engine.roles.membership import Membership
from pydag_dist.engine.roles.planning import Planning
from pydag_dist.engine.roles.publishing import Publishing
from pydag_dist.engine.roles.reading import Reading
from pydag_dist.engine.roles.steering import Steering
from pydag_dist.engine.roles.watching import Watching
from pydag_dist.engine.roles.webhooks import DueWebhooks
from pydag_dist.engine.roles.working import Working
from pydag_dist.engine.store import Store


class Engine:
    """The state of every run, in Redis, over one connection pool and one script.

    A caller needs one or two of the roles: clients steer and read, coordinators plan, workers
    work. `client` decodes responses; `source` is counted for the messages that calls push.
    """

    def __init__(self, client: redis.Redis, prefix: str = "pydag", source: Source = "tick") -> None:
        self.store = Store(client, prefix, source)
        self.steering = Steering(self.store)
        self.planning = Planning(self.store)
        self.working = Working(self.store)
        self.publishing = Publishing(self.store)
        self.backfilling = Backfilling(self.store)
        self.reading = Reading(self.store)
        self.watching = Watching(self.store)
        self.runs = RunIndex(self.store)
        self.membership = Membership(self.store)
        self.webhooks = DueWebhooks(self.store)

    @classmethod
    def from_url(cls, url: str, prefix: str = "pydag", source: Source = "tick") -> Self:
        """An engine with a connection pool of its own."""
        return cls(connect(url), prefix, source)

    def tick(self) -> bool:
        """Do what time does; False if another tick ran less than 0.5 s ago.

        Every coordinator and every worker calls it.
        """
        epoch = self.store.redis.info("server")["run_id"]
        done, _, _ = self.store.call("tick", epoch)
        return bool(done)
