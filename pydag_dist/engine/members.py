"""The workers and coordinators of an installation, and which of them could run a task."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydag_dist.engine.store import Store, read_times

if TYPE_CHECKING:
    from pydag_dist.dag import Dag, Task

_CALLING: Final = frozenset({"python.call", "branch"})


@dataclass(frozen=True)
class Member:
    """A worker or coordinator that was heard of within the last lease. Times are epoch seconds.

    `info` is what it says of itself: of a worker its host, pid, slots, queues, imports,
    connections, stores, operators, version and started_at.
    """

    name: str
    process: str
    busy: int  # slots, a few seconds ago
    heard_at: float
    info: Mapping[str, Any]

    def names(self, what: str) -> Sequence[str]:
        """A list of names that it says of itself."""
        return self.info.get(what) or ()


@dataclass(frozen=True)
class Refusal:
    """That a worker gave a task back: what its host lacks ("kind:name"), and in words."""

    worker: str
    need: str
    reason: str


@dataclass(frozen=True)
class Unserved:
    """A task that no live worker can run, as far as they say; and who comes nearest to it."""

    task: str
    reason: str

    def __str__(self) -> str:
        return f"task {self.task}: no live worker can run it: {self.reason}"


def read_members(store: Store, kind: str) -> dict[str, Member]:
    """The live ones of a kind, by name."""
    now, steady, lease = read_times(store)
    found = {}
    for name, kept in sorted(store.redis.hgetall(store.key(kind)).items()):
        process, expiry, busy, info = kept.split(" ", 3)
        if int(expiry) > steady:
            heard_at = (now + int(expiry) - steady - lease) / 1e6
            found[name] = Member(name, process, int(busy), heard_at, json.loads(info))
    return found


def read_refusals(store: Store, queue: str) -> list[Refusal]:
    """The refusals of a queue's workers that still count."""
    _, steady, _ = read_times(store)
    members, found = read_members(store, "workers"), []
    packed: Mapping[str, str] = store.redis.hgetall(store.key(f"refused:{queue}"))
    for what, kept in sorted(packed.items()):
        need, worker = what.split(" ", 1)
        expiry, process, reason = kept.split(" ", 2)
        now_there = members[worker].process if worker in members else "-"
        if int(expiry) > steady and process == now_there:
            found.append(Refusal(worker, need, reason))
    return found


def unserved(dag: Dag, workers: Iterable[Member]) -> list[Unserved]:
    """The tasks of a DAG that none of these workers can run, as far as they say."""
    workers, found = list(workers), []
    for name, task in dag.tasks.items():
        lacking = {worker.name: _lacks(task, worker) for worker in workers}
        listening = {n: reason for n, reason in lacking.items() if reason != _NOT_LISTENING}
        if not listening:
            could = [
                n for n, worker in zip(lacking, workers, strict=True) if not _wants(task, worker)
            ]
            reason = f"none listens to its queue {task.queue}"
            if could:
                reason += f"; {_listed(could)} could run it, listening to other queues"
            found.append(Unserved(name, reason))
        elif all(listening.values()):
            reason = "; ".join(f"{n}: {reason}" for n, reason in list(listening.items())[:3])
            could = [n for n, w in zip(lacking, workers, strict=True) if not _wants(task, w)]
            if could:
                reason += f"; {_listed(could)} could, but listens to other queues than {task.queue}"
            found.append(Unserved(name, reason))
    return found


_NOT_LISTENING: Final = "does not listen to its queue"


def _lacks(task: Task, worker: Member) -> str:
    if task.queue not in worker.names("queues"):
        return _NOT_LISTENING
    return _wants(task, worker)


def _wants(task: Task, worker: Member) -> str:
    """What a task needs that the worker says it doesn't have; empty if it has all."""
    operator = task.operator
    if operator not in worker.names("operators"):
        from pydag_dist.dag.operators import OPERATORS, family

        known = operator in OPERATORS or operator.startswith("script.")
        needs = "the google packages are" if known and family(operator) != "python" else "it is"
        return f"operator {operator} is not there ({needs} not installed)"
    target = task.params.get("callable")
    if operator in _CALLING and isinstance(target, str) and "{{" not in target:
        module = target.partition(":")[0]
        allowed = worker.names("imports")
        if not any(module == a or module.startswith(f"{a}.") for a in allowed):
            return f"module {module} is not allowed (allowed: {', '.join(allowed) or 'none'})"
    for connection in _connections(task):
        if connection not in worker.names("connections"):
            return f"connection {connection} is not defined"
    return ""


def _connections(task: Task) -> Iterable[str]:
    named = task.params.get("connection")
    if isinstance(named, str) and "{{" not in named:
        yield named
    for name in task.params:
        if task.script and name.startswith("**"):
            yield name.removeprefix("**").partition("_")[0]


def _listed(names: Sequence[str]) -> str:
    *most, last = names[:3]
    return f"{', '.join(most)} and {last}" if most else last
