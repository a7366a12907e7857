"""A worker's entry among those of the installation: its name, and what it can do."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from functools import partial
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kombu.entity import Queue

from pydag_dist.dag.operators import ENTRY_POINTS, OPERATORS, SCRIPTS, family
from pydag_dist.engine import Engine, Membership
from workers.process import settings, until_redis_can, worker_settings

log = logging.getLogger(__name__)

GOOGLE = ("google.cloud.bigquery", "google.cloud.dataproc_v1", "google.cloud.storage")
_GOOGLE_FAMILIES = ("bigquery", "dataproc", "gcs")
_LOOK_AGAIN = 0.5  # seconds


def missing_packages() -> list[str]:
    """The google packages that are not installed on this host."""
    missing = []
    for name in GOOGLE:
        try:
            found = find_spec(name)
        except ModuleNotFoundError:  # of its parent
            found = None
        if found is None:
            missing.append(name.removesuffix("_v1").replace(".", "-"))
    return missing


def choose_queues(queues: Any, *, named: bool) -> None:
    """Listen to no queue of an operator family whose packages are not there.

    `queues` are Celery's; `named`: they were by -Q.
    """
    missing = missing_packages()
    unserved = [name for name in list(queues.consume_from) if name in _GOOGLE_FAMILIES and missing]
    if not unserved:
        return
    message = (
        f"this worker does not listen to {', '.join(unserved)}: {', '.join(missing)} "
        "is not installed here (pip install 'pydag-dist[worker]')"
    )
    if len(unserved) == len(queues.consume_from):
        sys.exit(message)
    log.log(logging.ERROR if named else logging.WARNING, "%s", message)
    queues.deselect(unserved)


class Member:
    """A worker among the others: its name is its own, and the others know what it can do."""

    def __init__(self, name: str, slots: int, queues: list[str]) -> None:
        self.name = name
        self._process = secrets.token_hex(8)
        self._info = json.dumps(_abilities(slots, queues))
        self._shared = False

    def join(self, engine: Engine) -> None:
        """Take the name; ends this process if a live worker has it.

        `LeaseMismatch` if the installation has another lease.

        One that was killed keeps its name until its lease is over, but for a namesake on the same
        host, which sees that it is dead.
        """
        first: float | None = None
        force = False
        while True:
            heard = until_redis_can(partial(self._register, engine.membership, 0, force=force))
            if heard is None:
                return
            other = engine.reading.members("workers").get(self.name)
            force = other is not None and _is_dead(other.info)
            if force:
                continue
            if first is None:
                first = heard
                log.warning(
                    "a worker named %s was heard of a moment ago; waiting to see whether it is "
                    "alive",
                    self.name,
                )
            elif heard > first and other is not None:
                sys.exit(
                    f"a worker named {self.name} is alive (on host {other.info.get('host')}, "
                    f"process {other.info.get('pid')}): give this one another name with -n NAME"
                )
            time.sleep(_LOOK_AGAIN)

    def renew(self, membership: Membership, busy: int) -> None:
        """Still here, with so many busy slots."""
        shared = self._register(membership, busy, force=False) is not None
        if shared and not self._shared:
            log.error(
                "another worker took the name %s while this one could not be heard of: end one of "
                "them, they share one entry of slots",
                self.name,
            )
        self._shared = shared

    def leave(self, membership: Membership) -> None:
        """Gone."""
        membership.unregister("workers", self.name, self._process)

    def _register(self, membership: Membership, busy: int, *, force: bool) -> float | None:
        return membership.register(
            "workers",
            self.name,
            self._process,
            f'{self._info[:-1]}, "clock": {time.time():.3f}}}',
            busy=busy,
            lease=settings().lease,
            force=force,
        )


def own_queue(name: str) -> Queue:
    """The list of messages for this worker alone, as kombu knows it."""
    return Queue(f"@{name}", no_ack=True)  # type: ignore[no-untyped-call]


def _abilities(slots: int, queues: list[str]) -> dict[str, Any]:
    """What others may know of this worker: names only, no secrets and no paths."""
    settings = worker_settings()
    builtin = [*OPERATORS, *SCRIPTS]
    if missing_packages():
        builtin = [name for name in builtin if family(name) not in _GOOGLE_FAMILIES]
    registered = {entry.name for entry in entry_points(group=ENTRY_POINTS)}
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "machine": _machine(),
        "process_started": _process_started(os.getpid()),
        "slots": slots,
        "queues": sorted(queues),
        "imports": list(settings.imports),
        "connections": sorted(settings.connections),
        "default_connection": settings.connection,
        "stores": [
            store if not store.startswith("local:") else "local" for store in settings.stores
        ],
        "operators": sorted({*builtin, *registered}),
        "version": version("pydag-dist"),
        "started_at": time.time(),
    }


def _machine() -> str:
    """Tells whether a process id is of this machine and of this container."""
    parts = []
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "/".join(parts)


def _process_started(pid: int) -> str:
    """When that process of this machine was started, in the kernel's own measure; empty: never."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = status.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _is_dead(info: Mapping[str, Any]) -> bool:
    """Whether that worker is known to be dead: a process of this machine that is there no more."""
    machine = _machine()
    return (
        bool(machine)
        and info.get("machine") == machine
        and _process_started(int(info.get("pid", 0))) != info.get("process_started")
    )
