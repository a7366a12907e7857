"""Publishes the DAG files of a folder, and unpublishes those that are gone from it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any, Final

import redis

from pydag_dist.coordinator.repeating import repeat
from pydag_dist.dag import Dag, limits
from pydag_dist.dag.ids import worker_name
from pydag_dist.engine import Engine
from pydag_dist.engine.publications import publish, unpublish
from pydag_dist.errors import InvalidDag, PydagError
from pydag_dist.visible import one_line

log = logging.getLogger(__name__)

EVERY: Final = 3.0  # seconds between two looks at the folder
LEASE: Final = 15.0  # seconds after which another coordinator publishes its folder
GONE: Final = 2  # looks after which a file that is not there is gone: it may be being replaced
SHOWN: Final = 5  # problems of a file
EMPTY: Final = "is empty: what was published from it stays so"

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
        self._stamps: dict[str, Stamp] = {}  # of the files that are done with, until they change
        self._holds: dict[str, str] = {}  # file -> the DAG that it had when it was read last, or ""
        self._sources: dict[str, str] = {}  # published DAG -> its file
        self._missing: dict[str, int] = {}  # such a DAG -> for how many looks it was in no file
        self._problems: dict[str, str] = {}

    def run(self) -> None:
        """Publish what changes until stopped."""

        def look() -> float:
            self.step()
            return EVERY

        repeat(look, self._engine.store, self._stopping, f"{self._folder} is not published now")
        with contextlib.suppress(redis.RedisError):
            self._lease.release()

    def step(self) -> None:
        """Publish what has changed since the last look, if it is this coordinator's turn."""
        store = self._engine.store
        if not store.redis.exists(store.key("epoch")) or not self._take_lease():
            return
        try:
            files, blocked = self._scan()
        except OSError as error:
            self._tell("", f"the folder can't be read: {error.strerror}")
            return
        for name, why in blocked.items():
            self._tell(name, why)
        if not files and self._sources:
            self._tell("", f"the folder {EMPTY}")
            return
        self._settle("")
        for name in [name for name in self._problems if name not in files.keys() | blocked.keys()]:
            self._settle(name)
        for gone in self._stamps.keys() - files.keys():
            del self._stamps[gone]
        there = set(files)
        for file in self._sources.values():
            if any(file == name or file.startswith(f"{name}/") for name in blocked):
                there.add(file)
        self._holds = {file: dag for file, dag in self._holds.items() if file in there}
        if self._publish_changed(files, there):
            self._unpublish_missing(there)

    def _publish_changed(self, files: dict[str, Stamp], there: set[str]) -> bool:
        """False if it is another coordinator's turn before all are done."""
        changed = sorted(file for file, stamp in files.items() if self._stamps.get(file) != stamp)
        waiting: list[str] = []
        for is_last, those in ((False, changed), (True, waiting)):
            for file in those:
                if self._stopping.is_set() or not self._keep_lease():
                    return False
                why = self._publish(file, there)
                if why is None:
                    self._stamps[file] = files[file]
                elif is_last:
                    self._tell(file, why)
                else:
                    waiting.append(file)  # a file that follows may make way for it
        return True

    def _keep_lease(self) -> bool:
        try:
            self._lease.extend(LEASE, replace_ttl=True)
        except redis.exceptions.LockError:
            return False
        return True

    def _take_lease(self) -> bool:
        if self._keep_lease():
            return True
        if not self._lease.acquire():
            return False
        self._begin()
        return True

    def _begin(self) -> None:
        """Find out what was published from folders until now."""
        store = self._engine.store
        store.redis.delete(store.key("dag_problems"))
        self._stamps, self._holds, self._missing, self._problems = {}, {}, {}, {}
        self._sources = {
            dag.dag_id: dag.source for dag in self._engine.publishing.dags() if dag.source
        }
        log.info("publishing the DAGs of %s", self._folder)

    def _scan(self) -> tuple[dict[str, Stamp], dict[str, str]]:
        """The files, and what can't be read there: a file or a folder, and why."""
        root = self._folder.resolve(strict=True)
        found: dict[str, Stamp] = {}
        blocked: dict[str, str] = {}

        def block(path: Path, why: str) -> None:
            blocked[one_line(str(path.relative_to(root)))] = why

        def fail(error: OSError) -> None:
            path = Path(error.filename)
            if path == root:
                raise error
            if not isinstance(error, FileNotFoundError):
                block(path, f"the folder can't be read: {error.strerror}")

        for place, folders, names in os.walk(root, onerror=fail):
            if not (folders or names) and self._has_published(
                within := os.path.relpath(place, root)
            ):
                # A mount that is away leaves an empty folder.
                blocked[one_line(within)] = f"the folder {EMPTY}"
            folders[:] = [name for name in folders if not name.startswith(".")]
            files = (name for name in names if name.endswith(".json") and name[0] != ".")
            for path in (Path(place, name) for name in files):
                stamp = _stamp_or_why(path, root)
                if isinstance(stamp, str):
                    block(path, stamp)
                elif stamp is not None:
                    found[str(path.relative_to(root))] = stamp
        return found, blocked

    def _has_published(self, within: str) -> bool:
        return any(file.startswith(f"{within}/") for file in self._sources.values())

    def _publish(self, file: str, there: set[str]) -> str | None:
        """What is in its way for now; None if it is done with until the file changes."""
        try:
            with (self._folder / file).open("rb") as opened:
                data = opened.read(limits.DAG_BYTES + 1)
        except OSError as error:
            return error.strerror or str(error)
        try:
            return self._publish_text(file, data, there)
        except InvalidDag as error:
            told = [str(problem) for problem in error.problems]
            more = [f"and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
            self._tell(file, "; ".join(told[:SHOWN] + more))
            return None
        except redis.RedisError:
            raise
        except PydagError as error:
            self._tell(file, str(error))
            return None
        except Exception as error:  # of one file: all others go on
            log.exception("%s", file)
            self._tell(file, f"{type(error).__name__}: {error}")
            return None

    def _publish_text(self, file: str, data: bytes, there: set[str]) -> str | None:
        if _is_dag(data):
            dag = Dag.parse(data, source="")
            self._holds[file] = dag.dag_id
            owner = self._sources.get(dag.dag_id, file)
            if (
                owner != file
                and owner in there
                and self._holds.get(owner, dag.dag_id) == dag.dag_id
            ):
                return f"DAG {dag.dag_id} is in {owner}, too"
            done = publish(
                self._engine.publishing,
                dag,
                retention=self._retention,
                by=self._by,
                source=file,
            )
            self._sources[dag.dag_id] = file
            if done.is_new:
                log.info("%s: published %s, version %d", file, done.dag_id, done.version)
        else:
            self._holds[file] = ""
        self._settle(file)
        return None

    def _unpublish_missing(self, there: set[str]) -> None:
        self._missing = {
            dag_id: self._missing.get(dag_id, 0) + 1
            for dag_id, file in self._sources.items()
            if file not in there or self._holds.get(file, dag_id) != dag_id
        }
        for dag_id, looks in self._missing.items():
            if looks >= GONE:
                self._unpublish(dag_id, self._sources.pop(dag_id))

    def _unpublish(self, dag_id: str, file: str) -> None:
        seen = self._engine.publishing.dag(dag_id)
        if seen.is_published and seen.source == file:
            with contextlib.suppress(PydagError):  # somebody was quicker
                unpublish(self._engine.publishing, dag_id, self._by)
                log.info("%s: unpublished %s, which is no longer there", file, dag_id)

    def _tell(self, file: str, problem: str) -> None:
        if self._problems.get(file) != problem:
            name = str(self._folder / file) if file else str(self._folder)
            self._redis.hset(self._key, file or str(self._folder), problem)
            self._problems[file] = problem
            log.error("%s is not published: %s", name, one_line(problem))

    def _settle(self, file: str) -> None:
        if self._problems.pop(file, None) is not None:
            self._redis.hdel(self._key, file or str(self._folder))

    @property
    def _redis(self) -> Any:
        return self._engine.store.redis

    @property
    def _key(self) -> str:
        return self._engine.store.key("dag_problems")


def _stamp_or_why(path: Path, root: Path) -> Stamp | str | None:
    """What changes with a file, or why it can't be published; None if it has just gone."""
    try:
        return _stamp(path, root)
    except OSError as error:
        is_gone = isinstance(error, FileNotFoundError) and not path.is_symlink()
        return None if is_gone else error.strerror or str(error)


def _stamp(path: Path, root: Path) -> Stamp:
    """What changes with a file; `OSError` if it is none that can be published."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is no file")
    file = str(path.relative_to(root))
    if one_line(file) != file:
        raise OSError("its name has characters that can't be shown: rename it")
    if "|" in file or (length := len(os.fsencode(file))) > limits.WORKER:
        why = (
            'must have no "|"'
            if "|" in file
            else f"has {length} bytes, and at most {limits.WORKER}"
        )
        raise OSError(f"its path in the folder {why}: rename it")
    return status.st_mtime_ns, status.st_size, status.st_ino


def _is_dag(data: bytes) -> bool:
    """Whether the text may be meant for a DAG: other JSON has its place in a folder, too."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return True  # it is said why it is none
    return isinstance(found, dict) and bool({"tasks", "dag"} & found.keys())
