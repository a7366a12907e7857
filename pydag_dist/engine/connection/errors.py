"""Which of Redis's errors pass, which refuse a user, and what people are told of them."""

from __future__ import annotations

from typing import Any, Final

import redis

from pydag_dist.errors import RedisRefused
from pydag_dist.redis_url import RedisUrl

# What Redis answers while it can't do what it is asked, and will be able to later. MISCONF: its
# disk is full; UNBLOCKED: it became a replica while the call waited; INPROG: it becomes one.
_PASSING = ("BUSY ", "MISCONF ", "NOREPLICAS ", "UNBLOCKED ", "INPROG ")
_PASSING_ERRORS = (
    redis.ConnectionError,  # also while it loads its file
    redis.TimeoutError,
    redis.ReadOnlyError,
    redis.OutOfMemoryError,
    redis.exceptions.ClusterDownError,  # also a replica without its primary
)
_REFUSALS = (
    redis.AuthenticationError,
    redis.exceptions.AuthenticationWrongNumberOfArgsError,
    redis.exceptions.AuthorizationError,
    redis.exceptions.NoPermissionError,
)
# A transaction that could not be executed tells why by the text of another error, and a pipeline
# puts the number of its command before it.
_DISCARDED = "Transaction discarded because of: "
_IN_PIPELINE = " of pipeline caused error: "
FULL: Final = (
    "it is full (maxmemory): give it more memory at once, by CONFIG SET maxmemory, and all goes on"
)


def is_transient(error: redis.RedisError) -> bool:
    """Whether the same call may succeed later."""
    if is_refusal(error):
        return False
    if isinstance(error, _PASSING_ERRORS):
        return True
    text = str(error).rpartition(_IN_PIPELINE)[2]
    if text.startswith(_DISCARDED):
        text = text.removeprefix(_DISCARDED)
        return text.startswith((*_PASSING, "READONLY ", "OOM ", "MASTERDOWN ", "CLUSTERDOWN "))
    return text.startswith(_PASSING)


def is_refusal(error: redis.RedisError) -> bool:
    """Whether Redis refuses who asks: a wrong password, or a right that the user lacks.

    Where it worked before, somebody is changing that just now, or the server has not read its users
    yet: there it passes, too.
    """
    return isinstance(error, _REFUSALS)


def is_full(error: Exception) -> bool:
    """Whether Redis has used up its `maxmemory`; a transaction says so in the text of its error."""
    return isinstance(error, redis.OutOfMemoryError) or (
        isinstance(error, redis.ResponseError) and "maxmemory" in str(error)
    )


def trouble_of(error: Exception) -> str:
    """What the error says, and of a full Redis what to do."""
    return FULL if is_full(error) else str(error)


def advised(error: redis.ResponseError) -> redis.ResponseError:
    """The error, and for a right that the user lacks also where rights are written down."""
    if isinstance(error, redis.exceptions.NoPermissionError):
        return type(error)(f"{error} (docs/security.md says what each part's user needs)")
    return error


def refusal(error: redis.RedisError, client: redis.Redis) -> RedisRefused:
    """Of an error that `is_refusal`: the sentence for people."""
    what = "a command" if isinstance(error, redis.exceptions.NoPermissionError) else "the login"
    return RedisRefused(
        f"Redis at {address(client)} refused {what} ({error}): check the user and the password in "
        "PYDAG_REDIS_URL, and what that user may do; for the Redis of `pydag up`, type "
        '`eval "$(pydag env)"` in this terminal.'
    )


def address(client: redis.Redis) -> str:
    """The URL of a client's Redis, without its password."""
    pool: Any = client.connection_pool
    options = pool.connection_kwargs
    return RedisUrl(
        host=options.get("host", "localhost"),
        port=options.get("port", 6379),
        path=options.get("path", ""),
        database=options.get("db", 0),
        username=options.get("username"),
        password=options.get("password"),
        times={},
        tls={} if issubclass(pool.connection_class, redis.SSLConnection) else None,
    ).shown
