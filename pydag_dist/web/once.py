"""A request that is sent again under its `Idempotency-Key` is done once; no other may have it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

from pydag_dist.engine import Store
from pydag_dist.errors import PydagError, RedisAway
from pydag_dist.web.problems import Refusal

KEY_SECONDS: Final = 86_400  # that a key stands for its first request


def repeatable(who: str, key: str) -> str:
    """What makes an id the same each time that somebody sends a request with that key."""
    return sha256(json.dumps([who, key]).encode()).hexdigest()


@contextmanager
def once(store: Store, who: str, key: str, path: str, body: Any) -> Iterator[None]:
    """Do what somebody asks for; refused if the key was already that of another request.

    A request that is refused leaves its key free.
    """
    if not key:
        yield
        return
    name = store.key(f"asked:{repeatable(who, key)}")
    asked = sha256(json.dumps([path, body], sort_keys=True).encode()).hexdigest()
    before = store.redis.set(name, asked, nx=True, get=True, ex=KEY_SECONDS)
    if before not in {None, asked}:
        raise Refusal(
            422,
            f"the Idempotency-Key {key} was that of another request, and this one has another path "
            "or body: nothing was started; give it a key of its own",
            kind="key-reused",
        )
    try:
        yield
    except (Refusal, PydagError) as error:
        if before is None and not isinstance(error, RedisAway):
            store.redis.delete(name)
        raise
