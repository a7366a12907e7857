"""Loads the engine's Lua files as functions of the Redis server, and calls them."""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from typing import Any, Final

import redis

from pydag_dist.dag import limits
from pydag_dist.engine import protocol
from pydag_dist.errors import EngineError

# The order matters: each file uses what those before it define.
PARTS = (
    "table",
    "checks",
    "changes",
    "record",
    "runs/share",
    "tasks/queue",
    "tasks/rules",
    "tasks/outcome",
    "tasks/spread",
    "tasks/expansion",
    "runs/submission",
    "runs/plan",
    "runs/published",
    "runs/of_dags",
    "runs/backfills",
    "workers/members",
    "workers/hand",
    "workers/lease",
    "workers/run_on",
    "workers/refusal",
    "tasks/mark",
    "workers/deferral",
    "workers/log",
    "tick",
    "aside",
    "dispatch",
)

# What stands in front of them: a local table of each name. One table may hold much, while a chunk
# of Lua has 200 local variables at most.
TABLES: Final[Mapping[str, Mapping[str, Any]]] = {"LIMITS": limits.LUA, "PROTOCOL": protocol.LUA}

# What a Redis at its `maxmemory` does nevertheless: it lets tasks end and keeps leases.
WHEN_FULL = frozenset(
    {
        *("release", "hand_in", "renew", "tick", "work"),
        *("cancel", "cancel_backfill", "mark", "let_expire", "log_stored"),
    }
)


@cache
def source() -> str:
    """The text that defines the engine: `dispatch` does an operation."""
    folder = Path(__file__).with_name("lua")
    tables = [f"local {name} = {as_lua(table)}" for name, table in TABLES.items()]
    parts = [(folder / f"{part}.lua").read_text("utf-8") for part in PARTS]
    return "\n".join([*tables, *parts])


def as_lua(value: Any) -> str:
    """The value as Lua writes it: tables of mappings, of lists, and of sets (member -> true)."""
    if isinstance(value, AbstractSet):
        value = dict.fromkeys(sorted(value), True)
    if isinstance(value, Mapping):
        fields = (f"[{as_lua(name)}] = {as_lua(item)}" for name, item in value.items())
        return f"{{ {', '.join(fields)} }}"
    if isinstance(value, (list, tuple)):
        return f"{{ {', '.join(map(as_lua, value))} }}"
    return json.dumps(value)  # its numbers, booleans and plain texts are Lua's, too


@cache
def function_name(code: str) -> str:
    """The function's name. It holds a hash, so that versions live side by side in an upgrade."""
    return "pydag_" + hashlib.sha256(code.encode()).hexdigest()[:16]


def library(code: str) -> str:
    """The functions' library: one of them for each of Redis's two answers to a full memory."""
    name = function_name(code)
    return f"""#!lua name={name}
{code}
local function run(_, arguments) return dispatch(arguments) end
redis.register_function('{name}', run)
redis.register_function{{
  function_name = '{name}_when_full', callback = run, flags = {{ 'allow-oom' }} }}
"""


class NotLoaded(redis.ConnectionError):
    """The function is missing and must be loaded by somebody else, who will: it passes."""

    def __init__(self) -> None:
        super().__init__(
            "this version's function is missing in Redis, and this user may not load it: start a "
            "coordinator of this version (docs/security.md)"
        )


class Script:
    """Calls the engine inside Redis.

    It is a function (Redis 7), whose code the server compiles and sets up once, not at every
    call: that is 25 µs of Redis's time a call.

    Connections are taken from the client's pool and kept: taking one for every call, as redis-py
    does, doubles a call's CPU time. Threads may share an object. Operations are idempotent, since
    one is sent again if the server has closed a kept connection in the meantime.
    """

    def __init__(self, client: redis.Redis, code: str | None = None) -> None:
        self._client: Any = client
        self._code = source() if code is None else code
        self._name = function_name(self._code)
        self._kept: list[Any] = []
        self._pid = os.getpid()
        weakref.finalize(self, _give_back, client.connection_pool, self._kept, self._pid)

    def __call__(self, prefix: str, operation: str, *arguments: str | float) -> Any:
        """Do an operation; its answer. `EngineError` for arguments that it refuses."""
        name = self._name + ("_when_full" if operation in WHEN_FULL else "")
        command = ("FCALL", name, 0, prefix, operation, *arguments)
        try:
            return self._execute(command)
        except redis.ResponseError as error:
            if "Function not found" not in str(error):
                raise
        try:
            # A library that is there already is this one: another process was quicker.
            self._client.function_load(library(self._code), replace=True)
        except redis.exceptions.NoPermissionError:
            raise NotLoaded from None
        return self._execute(command)

    def _execute(self, command: tuple[str | float, ...]) -> Any:
        while kept := self._take_kept():
            try:
                return self._ask(kept, command)
            except redis.ConnectionError:
                continue  # closed in the meantime, like others maybe; a new one isn't
        return self._ask(self._client.connection_pool.get_connection(), command)

    def _take_kept(self) -> Any:
        if self._pid != os.getpid():  # they are the parent's
            self._pid, self._kept = os.getpid(), []
        try:
            return self._kept.pop()
        except IndexError:
            return None

    def _ask(self, connection: Any, command: tuple[str | float, ...]) -> Any:
        try:
            connection.send_command(*command)
            answer = connection.read_response()
        except redis.ResponseError as error:  # a whole answer: the connection can be used again
            self._kept.append(connection)
            raise _told(error) from None
        except redis.TimeoutError:
            self._drop(connection)
            while other := self._take_kept():  # they lead where this one does
                self._drop(other)
            raise
        except BaseException:
            # Also a time limit's, by signal: what is still to come must answer no other call.
            self._drop(connection)
            raise
        self._kept.append(connection)
        return answer

    def _drop(self, connection: Any) -> None:
        connection.disconnect()
        self._client.connection_pool.release(connection)


def _told(error: redis.ResponseError) -> Exception:
    """What the engine refused is the caller's fault, and not Redis's."""
    code, _, why = str(error).partition(" ")
    return EngineError(why) if code == "REFUSED" else error


def _give_back(pool: redis.ConnectionPool, kept: list[Any], pid: int) -> None:
    if os.getpid() == pid:  # not a fork, whose parent uses them
        for connection in kept:
            pool.release(connection)
