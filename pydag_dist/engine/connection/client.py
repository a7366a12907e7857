"""The one function that makes clients of Redis, for every part of the product.

A link may be cut without a word: then nothing answers and nothing breaks off, for hours by the
defaults of TCP. So every wait of every client has an end, after which the link counts as dead and
a new one is made, whose address is looked up again.
"""

from __future__ import annotations

import socket
from typing import Any, Final

import redis

from pydag_dist.engine.connection.errors import advised, is_transient
from pydag_dist.errors import InvalidSettings
from pydag_dist.redis_url import RedisUrl

CONNECT_SECONDS: Final = 3.0  # a SYN is sent again after 1 s
ANSWER_SECONDS: Final = (
    5.0  # a script answers in milliseconds, a disk that syncs in a second or two
)
RECONNECT_SECONDS: Final = 1.0  # between two tries to connect
HEALTH_SECONDS: Final = 2.0  # a link that was silent for so long is asked before it is used

# What the kernel does about a link that nobody waits for (idle ones, and those of kombu's loop).
# Not every system has all of them.
_OPTIONS: Final = {
    "TCP_KEEPIDLE": 5,  # seconds of silence before the first probe
    "TCP_KEEPINTVL": 2,  # seconds between probes
    "TCP_KEEPCNT": 3,  # probes without an answer, then the link is dead
    "TCP_USER_TIMEOUT": 10_000,  # ms in which what was sent must be acknowledged
}
KEEPALIVE: Final = {
    getattr(socket, name): value for name, value in _OPTIONS.items() if hasattr(socket, name)
}


class Link:
    """Mixed into redis-py's connections: one over which Redis can't do a call is not kept.

    Whoever answers that it is a replica now will say so for ever, while another server may have
    taken over its address.
    """

    _is_refused = False

    def read_response(self, *args: Any, **options: Any) -> Any:
        """The answer; after an error that passes the next call makes a new link."""
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except redis.ResponseError as error:
            # Not closed here: a pipeline has yet to read its other answers.
            self._is_refused = self._is_refused or is_transient(error)
            raise advised(error) from None

    def send_packed_command(self, *args: Any, **options: Any) -> None:
        """Send, over a new link if the last answer was that Redis can't do it."""
        if self._is_refused:
            self._is_refused = False
            self.disconnect()  # type: ignore[attr-defined]
        super().send_packed_command(*args, **options)  # type: ignore[misc]


class _Plain(Link, redis.Connection):
    pass


class _Tls(Link, redis.SSLConnection):
    pass


class _Socket(Link, redis.UnixDomainSocketConnection):
    pass


def connect(url: str, *, blocks: float = 0.0) -> redis.Redis:
    """A client with a connection pool of its own, which decodes answers; it connects when used.

    `blocks` are the seconds that its longest blocking read asks the server to wait. What the URL
    says of timeouts beats what is set here. Raises `InvalidSettings` for what is no URL of Redis.
    """
    try:
        where = RedisUrl.parse(url)
    except ValueError as error:
        raise InvalidSettings(f"the URL of Redis {error}") from None
    options: dict[str, Any] = {
        "connection_class": _Socket if where.path else _Plain if where.tls is None else _Tls,
        "decode_responses": True,
        # redis-py would look for its version among all installed packages.
        "driver_info": redis.DriverInfo("redis-py", redis.__version__),
        "encoding_errors": "replace",  # bytes that are no text must not end who reads them
        "socket_timeout": blocks + ANSWER_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "health_check_interval": HEALTH_SECONDS,
        **({} if where.path else {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}),
        **where.times,
        **(where.tls or {}),
    }
    return redis.Redis.from_url(where.for_redis, **options)
