"""Looks at the Redis server: is it there, does it keep what it is given, is it full."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import redis

from pydag_dist.dag import limits
from pydag_dist.doctor.finding import Finding, error, ok, warning
from pydag_dist.engine import address, check_redis, is_refusal, refusal
from pydag_dist.errors import UnsafeRedis

CLOCK_SECONDS: Final = 5.0  # that clocks may differ
_FILES: Final = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


def look_at_server(client: Any) -> list[Finding]:
    """What is found about the server; only one error if it can't be asked."""
    where = address(client)
    try:
        info: Mapping[str, Any] = client.info()
        began = time.time()
        seconds, micro = client.time()
        ended = time.time()
    except redis.RedisError as problem:
        if is_refusal(problem):
            return [error(str(refusal(problem, client)), "")]
        return [error(f"no Redis answers at {where} ({problem})", _advice(where, str(problem)))]
    found = list(_problems(client, info))
    ahead = seconds + micro / 1e6 - (began + ended) / 2
    if abs(ahead) - (ended - began) > CLOCK_SECONDS:
        found.append(clock(f"the clock of Redis's host is {apart(ahead)} that of this host"))
    version = info.get("valkey_version") or info.get("redis_version")
    return found or [ok(f"Redis {version} at {where} keeps what it is given")]


def _advice(where: str, problem: str) -> str:
    if "certificate" in problem.lower():
        return (
            "let ssl_ca_certs in PYDAG_REDIS_URL name the certificate that has signed that of the "
            "server, and its host be one that this is for"
        )
    if where.startswith("rediss:") and ("SSL" in problem or "Timeout" in problem):
        return "is it there, and does it speak TLS at that port? Else PYDAG_REDIS_URL is redis://…"
    if where.startswith("redis:") and ("closed" in problem or "reset" in problem):
        return (
            "if it speaks TLS at that port, PYDAG_REDIS_URL is rediss://…; else look into its log"
        )
    return (
        "start it, or set PYDAG_REDIS_URL; for one on this machine run `pydag up`, and then "
        '`eval "$(pydag env)"`'
    )


def clock(what: str) -> Finding:
    """That two clocks differ."""
    return warning(
        what, "let all hosts keep their time (NTP): dates in logs and Google's tokens depend on it"
    )


def apart(ahead: float) -> str:
    """How far a clock is from another one."""
    return f"{abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'}"


def _problems(client: Any, info: Mapping[str, Any]) -> Iterator[Finding]:
    try:
        check_redis(client)
    except UnsafeRedis as problem:
        what, _, advice = str(problem).partition(": ")
        yield error(what, advice)
    if (mode := info.get("redis_mode", "standalone")) != "standalone":
        yield error(
            f"this Redis is a {mode}, which can't be used",
            "give PYDAG_REDIS_URL the address of a single primary",
        )
    if info.get("role") in {"slave", "replica"}:
        yield error(
            "this Redis is a replica, and takes no writes",
            "give PYDAG_REDIS_URL the primary's address",
        )
    if failed := [name for name in _FILES if info.get(name, "ok") != "ok"]:
        yield error(
            f"Redis could not write its file ({', '.join(failed)})",
            "make room on its disk, and look into its log",
        )
    if info.get("aof_enabled", 1) == 0:
        yield warning(
            "Redis has no append-only file: what happened since its last snapshot is lost with its "
            "process, and comes back from the history only as far as that knows it",
            "set appendonly yes",
        )
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most and used >= most:
        yield error(
            f"Redis has used up its maxmemory ({used / most:.0%}): no task starts, no run is taken",
            "give it more memory at once, by CONFIG SET maxmemory; what has begun goes on then",
        )
    elif most and used > limits.LOGS_MEMORY * most:
        yield warning(
            f"Redis uses {used / most:.0%} of its maxmemory: logs make way, and soon no new runs "
            "are taken",
            "give it more memory, or ended runs a shorter PYDAG_RETENTION",
        )
