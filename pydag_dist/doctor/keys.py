"""Looks whether each key of the installation is of the kind that the engine's table says."""

from __future__ import annotations

import re
from typing import Any

from pydag_dist.doctor.finding import Finding, error
from pydag_dist.engine import Engine
from pydag_dist.engine.script import source

_ROW = re.compile(r"^--   ([a-z:_]+) +(string|hash|zset|set|list|stream)  ", re.MULTILINE)


def look_at_keys(engine: Engine) -> list[Finding]:
    """What is found about the keys that an installation has once; Redis's errors name none."""
    store: Any = engine.store
    wanted = dict(_ROW.findall(source()))
    with store.redis.pipeline(transaction=False) as pipe:
        for name in wanted:
            pipe.type(store.key(name))
        found = dict(zip(wanted, pipe.execute(), strict=True))
    return [
        error(
            f"the key {store.key(name)} is a {kind}, and should be a {wanted[name]}: another "
            "program has written it, and no coordinator or worker can go on",
            "give that program another Redis, or PYDAG_KEY_PREFIX another value; to go on here, "
            f"rename the key: redis-cli RENAME {store.key(name)} foreign-{name}",
        )
        for name, kind in found.items()
        if kind not in {"none", wanted[name]}
    ]
