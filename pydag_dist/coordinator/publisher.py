"""Publishes the DAG files of a folder, and unpublishes those that are gone from it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any, Final

import redis

from pydag_dist.dag import Dag
from pydag_dist.dag.ids import worker_name
from pydag_dist.engine import Engine
from pydag_dist.engine.publications import publish, unpublish
from pydag_dist.errors import InvalidDag, PydagError

log = logging.getLogger(__name__)

EVERY: Final = 3.0  # seconds between two looks at the folder
LEASE: Final = 15.0  # seconds after which another coordinator publishes its folder
GONE: Final = 2  # looks after which a file that is not there is gone: it may be being replaced
SHOWN: Final = 5  # problems of a file

Stamp = tuple[int, int, int]


class FolderPublisher:
    """Of all coordinators that have a folder, one publishes it; another one, if that is gone.

    Files of DAGs end with ``.json``; folders within it count, but those whose names begin with a
    dot. What has a problem stays published as it was, and the problem is told. Only DAGs that were
    published from a folder are unpublished.
    """

    def __init__(
        self, engine: Engine, folder: Path, retention: int, stopping: threading.Event
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._retention = retention
        self._stopping = stopping
        self._by = worker_name(f"folder@{socket.gethostname()}")
        store = engine.store
        self._lease = store.redis.lock(
            store.key("dags:publisher"), timeout=LEASE, blocking=False, thread_local=False
        )
        self._has_lease = False
        self._stamps: dict[str, Stamp] = {}  # of the files as they were read last
        self._dags: dict[str, str] = {}  # file -> the DAG that is published from it
        self._missing: dict[str, int] = {}  # such a file -> for how many looks it was not there
        self._problems: dict[str, str] = {}

    def run(self) -> None:
        """Publish what changes until stopped."""
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = EVERY
            try:
                self.step()
            except redis.RedisError as error:
                self._engine.store.disconnect()
                self._has_lease = False
                log.warning("%s is not published now: %s", self._folder, error)
        with contextlib.suppress(redis.RedisError):
            if self._has_lease:
                self._lease.release()

    def step(self) -> None:
        """Publish what has changed since the last look, if it is this coordinator's turn."""
        store = self._engine.store
        if not store.redis.exists(store.key("epoch")) or not self._take_lease():
            return
        try:
            files = self._scan()
        except OSError as error:
            self._tell("", f"the folder can't be read: {error.strerror}")
            return
        if not files and self._dags:
            self._tell("", "the folder is empty: what was published from it stays so")
            return
        self._settle("")
        for file in [file for file in self._problems if file and file not in files]:
            self._settle(file)
        for file, stamp in sorted(files.items()):
            if self._stamps.get(file) != stamp and self._publish(file):
                self._stamps[file] = stamp
        self._unpublish_missing(files)

    def _take_lease(self) -> bool:
        with contextlib.suppress(redis.exceptions.LockError):
            self._lease.extend(LEASE, replace_ttl=True)
            return True
        self._has_lease = bool(self._lease.acquire())
        if self._has_lease:
            self._begin()
        return self._has_lease

    def _begin(self) -> None:
        """Find out what was published from folders until now."""
        store = self._engine.store
        store.redis.delete(store.key("dag_problems"))
        self._stamps, self._missing, self._problems = {}, {}, {}
        self._dags = {
            dag.source: dag.dag_id for dag in self._engine.publishing.dags() if dag.source
        }
        log.info("publishing the DAGs of %s", self._folder)

    def _scan(self) -> dict[str, Stamp]:
        root = self._folder.resolve(strict=True)
        found: dict[str, Stamp] = {}

        def fail(error: OSError) -> None:
            raise error

        for place, folders, names in os.walk(root, onerror=fail):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if name.endswith(".json") and not name.startswith("."):
                    path = Path(place, name)
                    with contextlib.suppress(FileNotFoundError):  # it has just gone
                        status = path.stat()
                        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
                        found[str(path.relative_to(root))] = stamp
        return found

    def _publish(self, file: str) -> bool:
        """Whether that is done, until the file changes."""
        path = self._folder / file
        try:
            if not _is_dag(path):
                self._settle(file)
                return True
            dag = Dag.load(path)
        except InvalidDag as error:
            told = [str(problem) for problem in error.problems]
            more = [f"and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
            self._tell(file, "; ".join(told[:SHOWN] + more))
            return True
        except OSError as error:
            self._tell(file, error.strerror or str(error))
            return False
        owners = [f for f, dag_id in self._dags.items() if dag_id == dag.dag_id and f != file]
        if any(owner in self._stamps for owner in owners):
            self._tell(file, f"DAG {dag.dag_id} is in {owners[0]}, too")
            return False
        try:
            done = publish(
                self._engine.publishing,
                dag,
                retention=self._retention,
                by=self._by,
                source=file,
            )
        except PydagError as error:
            self._tell(file, str(error))
            return True
        for owner in owners:  # the file has another name now
            del self._dags[owner]
        before = self._dags.get(file)
        self._dags[file] = dag.dag_id
        if before and before != dag.dag_id:
            self._unpublish(before, file)
        self._settle(file)
        if done.is_new:
            log.info("%s: published %s, version %d", file, done.dag_id, done.version)
        return True

    def _unpublish_missing(self, files: dict[str, Stamp]) -> None:
        missing = {file: self._missing.get(file, 0) + 1 for file in self._dags if file not in files}
        self._missing = missing
        for file in list(self._stamps):
            if file not in files:
                del self._stamps[file]
        for file, looks in missing.items():
            if looks >= GONE:
                self._unpublish(self._dags.pop(file), file)

    def _unpublish(self, dag_id: str, file: str) -> None:
        seen = self._engine.publishing.dag(dag_id)
        if seen.is_published and seen.source == file:
            with contextlib.suppress(PydagError):  # somebody was quicker
                unpublish(self._engine.publishing, dag_id, self._by)
                log.info("%s: unpublished %s, which is no longer there", file, dag_id)

    def _tell(self, file: str, problem: str) -> None:
        if self._problems.get(file) != problem:
            name = str(self._folder / file) if file else str(self._folder)
            log.error("%s is not published: %s", name, problem)
            self._problems[file] = problem
            self._redis.hset(self._key, file or str(self._folder), problem)

    def _settle(self, file: str) -> None:
        if self._problems.pop(file, None) is not None:
            self._redis.hdel(self._key, file or str(self._folder))

    @property
    def _redis(self) -> Any:
        return self._engine.store.redis

    @property
    def _key(self) -> str:
        return self._engine.store.key("dag_problems")


def _is_dag(path: Path) -> bool:
    """Whether the file may be meant for a DAG: other JSON has its place in a folder, too."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return True  # it is said why it is none
    return isinstance(found, dict) and bool({"tasks", "dag"} & found.keys())
