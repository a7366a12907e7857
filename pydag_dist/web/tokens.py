"""Tokens, which programs send and browsers keep: only their hashes are kept here."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Final, get_args

from pydag_dist.dag.ids import check_id, worker_name
from pydag_dist.engine import Store
from pydag_dist.errors import PydagError
from pydag_dist.web.settings import Role

MOST_TOKENS: Final = 1_000
_ROLES: Final = get_args(Role)


@dataclass(frozen=True)
class Token:
    """A token as it is kept: its hash only. Times are epoch seconds."""

    name: str
    role: Role
    sha256: str
    created_at: float
    created_by: str


class Tokens:
    """The tokens of an installation: who holds one of them is its name."""

    def __init__(self, store: Store) -> None:
        self._redis, self._key = store.redis, store.key("tokens")

    def add(self, name: str, role: Role, by: str) -> str:
        """Make a token and say it, once. `PydagError` if there is one of that name."""
        check_id("token", name)
        if role not in _ROLES:
            raise PydagError(f"role {role}: must be one of {', '.join(_ROLES)}")
        if self._redis.hlen(self._key) >= MOST_TOKENS:
            raise PydagError(f"there are {MOST_TOKENS:,} tokens already: remove some")
        secret = f"pydag_{secrets.token_urlsafe(32)}"
        kept = Token(name, role, hash_of(secret), time.time(), worker_name(by))
        if not self._redis.hsetnx(self._key, name, json.dumps(asdict(kept))):
            raise PydagError(f"there is a token {name}: remove it first, or give another name")
        return secret

    def remove(self, name: str) -> bool:
        """Whether there was one of that name."""
        return bool(self._redis.hdel(self._key, name))

    def all(self) -> list[Token]:
        """By their names."""
        kept: Mapping[str, str] = self._redis.hgetall(self._key)
        return [Token(**json.loads(kept[name])) for name in sorted(kept)]


def told(token: Token) -> dict[str, Any]:
    """A token without its hash."""
    return {name: value for name, value in asdict(token).items() if name != "sha256"}


def hash_of(secret: str) -> str:
    """By which a token is known."""
    return sha256(secret.encode()).hexdigest()
