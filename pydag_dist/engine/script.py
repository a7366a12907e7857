"""Loads the engine's Lua files as one function of the Redis server."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

import redis

# The order matters: each file uses what those before it define.
PARTS = ("table", "record", "queue", "outcome", "plan", "lease", "tick", "dispatch")


@cache
def source() -> str:
    """The text that defines the engine: `dispatch` does an operation."""
    folder = files("pydag_dist.engine").joinpath("lua")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in PARTS)


@cache
def function_name() -> str:
    """The function's name. It holds a hash, so that versions live side by side in an upgrade."""
    return "pydag_" + hashlib.sha256(source().encode()).hexdigest()[:16]


# What a Redis at its `maxmemory` does nevertheless: it lets tasks end and keeps leases.
WHEN_FULL = frozenset({"release", "renew", "tick", "work", "cancel"})


class Script:
    """Calls the engine inside Redis.

    It is a function (Redis 7), whose code the server compiles and sets up once, not at every
    call: that is 25 µs of Redis's time a call. Where functions can't be had (fakeredis), it is
    an ordinary script.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self._as_script: Any = None

    def __call__(self, *arguments: str | float) -> Any:
        """Do an operation; its answer."""
        if self._as_script:
            return self._as_script(args=arguments)
        try:
            suffix = "_when_full" if arguments[1] in WHEN_FULL else ""
            return self._client.fcall(function_name() + suffix, 0, *arguments)
        except redis.ResponseError as error:
            if "unknown command" in str(error):
                self._as_script = self._client.register_script(source() + "return dispatch(ARGV)")
            elif "Function not found" in str(error):
                self._load()
            else:
                raise
        return self(*arguments)

    def _load(self) -> None:
        name = function_name()
        register = (
            "local function call_it(_, arguments) return dispatch(arguments) end "
            f"redis.register_function('{name}', call_it) "
            f"redis.register_function{{function_name='{name}_when_full', callback=call_it, "
            "flags={'allow-oom'}}"
        )
        # A library that is there already is this one: another process was quicker.
        self._client.function_load(f"#!lua name={name}\n{source()}{register}", replace=True)
