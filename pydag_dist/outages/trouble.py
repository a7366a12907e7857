"""What Redis says when it can't do a call now, in words for people."""

from __future__ import annotations

from typing import Final

import redis

FULL: Final = (
    "it is full (maxmemory): give it more memory at once, by CONFIG SET maxmemory, and all goes on"
)


def is_full(error: Exception) -> bool:
    """Whether Redis has used up its `maxmemory`; a transaction says so in the text of its error."""
    return isinstance(error, redis.OutOfMemoryError) or (
        isinstance(error, redis.ResponseError) and "maxmemory" in str(error)
    )


def trouble_of(error: Exception) -> str:
    """What the error says, and of a full Redis what to do."""
    return FULL if is_full(error) else str(error)
