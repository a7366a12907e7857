"""Looks at the workers, the coordinators and what waits for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydag_dist.dag import Dag
from pydag_dist.dag.text.quote import counted
from pydag_dist.doctor.finding import Finding, error, ok, warning
from pydag_dist.doctor.server import CLOCK_SECONDS, apart, clock
from pydag_dist.engine import Engine, Member, unserved
from pydag_dist.errors import PydagError

MOST_DAGS: Final = 200  # published ones whose tasks are looked at
MOST_NAMED: Final = 5
LATE: Final = 10_000  # events that the history has yet to write
QUEUED: Final = 1_000  # submissions that no coordinator has planned


def look_at_fleet(engine: Engine) -> list[Finding]:
    """What is found about all parts together."""
    workers = engine.reading.members("workers")
    coordinators = engine.reading.members("coordinators")
    found = [
        *_coordinators(engine, coordinators),
        *_workers(engine, workers),
        *_differences({**workers, **coordinators}),
    ]
    counts = f"{counted(len(workers), 'worker')} and {counted(len(coordinators), 'coordinator')}"
    return found or [ok(f"{counts} are alive, and every queue has a worker")]


def _coordinators(engine: Engine, members: Mapping[str, Member]) -> Iterator[Finding]:
    store = engine.store
    if not members:
        yield error(
            "no coordinator is alive: new runs wait, nothing is started when it is due, and the "
            "history stands still",
            "start `pydag coordinator`; if one runs, let PYDAG_REDIS_URL and PYDAG_KEY_PREFIX be "
            "the same there and here",
        )
    elif not any(member.info.get("writes_history") for member in members.values()):
        yield warning(
            "no coordinator writes the history just now",
            "look into their logs: the database may be away, or another writer's lease may not be "
            "over",
        )
    late, waiting = (
        store.redis.xlen(store.key("history")),
        store.redis.xlen(store.key("submissions")),
    )
    if late > LATE:
        yield warning(
            f"the history is {late:,} events behind", "look whether its database is there, and slow"
        )
    if waiting > QUEUED:
        yield warning(f"{waiting:,} runs wait to be planned", "start another coordinator")


def _workers(engine: Engine, members: Mapping[str, Member]) -> Iterator[Finding]:
    if not members:
        yield error("no worker is alive: no task runs", "start `pydag worker`")
        return
    served = {queue for member in members.values() for queue in member.names("queues")}
    store: Any = engine.store
    for queue in sorted(store.redis.smembers(store.key("queues"))):
        if "!" in queue or queue in served:  # what a host lacks is told by `why`
            continue
        runs = int(store.redis.hget(store.key("windows"), f"runs/{queue}") or 0)
        if runs or store.redis.llen(store.key(f"q:{queue}")):
            yield error(
                f"the queue {queue} has tasks of {runs} runs, and no worker",
                f"start `pydag worker -Q {queue}`",
            )
    names = sorted(engine.publishing.names())[:MOST_DAGS]
    wanting = []
    for name in names:
        try:
            text = engine.publishing.text(name)
            dag = Dag.stored(text, source=name) if text else None
        except PydagError:  # an older version has let it in
            dag = None
        first = next(iter(unserved(dag, list(members.values()))), None) if dag else None
        if first:
            wanting.append(f"{name} ({first.task}: {first.reason})")
    if wanting:
        more = f" and {len(wanting) - MOST_NAMED} more" if len(wanting) > MOST_NAMED else ""
        yield error(
            f"no live worker can run a task of {'; '.join(wanting[:MOST_NAMED])}{more}",
            "start one that can, or change the DAG",
        )


def _differences(members: Mapping[str, Member]) -> Iterator[Finding]:
    versions: dict[str, list[str]] = {}
    clocks: dict[str, float] = {}
    for name, member in members.items():
        versions.setdefault(str(member.info.get("version")), []).append(name)
        if isinstance(at := member.info.get("clock"), int | float):
            clocks[str(member.info.get("host"))] = at - member.heard_at
    if len(versions) > 1:
        told = "; ".join(
            f"{version}: {', '.join(sorted(names)[:MOST_NAMED])}"
            for version, names in versions.items()
        )
        yield warning(f"parts have different versions ({told})", "bring all of them to the newest")
    for host, ahead in sorted(clocks.items()):
        if abs(ahead) > CLOCK_SECONDS:
            yield clock(f"the clock of {host} is {apart(ahead)} that of Redis's host")
