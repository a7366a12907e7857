"""kombu's transport over Redis, which takes a Redis that can't do a call for one that is away.

Celery's workers and Flower connect again after an error of the connection. Of an answer that says
"not now" kombu knows nothing, and it ends whoever gets it.
"""

from __future__ import annotations

from typing import Any

import redis
from kombu.connection import Connection
from kombu.transport import redis as kombu_redis

from pydag_dist.engine.connection.client import RECONNECT_SECONDS
from pydag_dist.engine.connection.errors import advised, is_refusal, is_transient


class NotNow(redis.ConnectionError):
    """Redis answered that it can't do a call now."""


class _Link:
    """Mixed into redis-py's connections."""

    def read_response(self, *args: Any, **options: Any) -> Any:
        """The answer; an error that passes counts as one of the connection, which is closed."""
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except redis.ResponseError as error:
            if is_transient(error) or is_refusal(error):
                self.disconnect()  # type: ignore[attr-defined]
                raise NotNow(str(advised(error))) from error
            raise


class Channel(kombu_redis.Channel):
    """A channel whose connections know which errors pass."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        params: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[no-untyped-call]
        kind = params["connection_class"]
        params["connection_class"] = type(kind.__name__, (_Link, kind), {})
        return params


class Transport(kombu_redis.Transport):
    """Redis as a broker."""

    Channel = Channel


class SteadyConnection(Connection):
    """Looks for a Redis that is away every second; kombu's own pauses grow to 30 s."""

    def get_transport_cls(self) -> type[Any]:
        """Our transport for every kind of Redis URL."""
        found: type[Any] = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return Transport if found is kombu_redis.Transport else found

    def ensure(self, *args: Any, max_retries: int | None = None, **options: Any) -> Any:
        """A call that is not repeated for ever: Celery sends heartbeats that way, from its loop.

        There nothing would be done any more, not even an order to end, until the broker is back.
        """
        return super().ensure(*args, **options, max_retries=max_retries or 0)  # type: ignore[no-untyped-call,misc]

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Wait until the broker is there."""
        pauses = {"interval_start": RECONNECT_SECONDS, "interval_step": 0}
        return super().ensure_connection(*args, **pauses, **kwargs)  # type: ignore[no-untyped-call]
