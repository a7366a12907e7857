"""The state of the local Dataproc in one SQLite file: what was answered survives a kill -9."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from google.cloud.dataproc_v1 import Batch, Cluster, Job
from google.longrunning import operations_pb2


class Scope(NamedTuple):
    """Where names live: Dataproc's are unique within a project's region."""

    project: str
    region: str

    def __str__(self) -> str:
        return f"projects/{self.project}/regions/{self.region}"


class JobKey(NamedTuple):
    """Names one job."""

    scope: Scope
    id: str

    def __str__(self) -> str:
        return f"Job {self.scope}/jobs/{self.id}"


class BatchKey(NamedTuple):
    """Names one batch."""

    scope: Scope
    id: str

    def __str__(self) -> str:
        return (
            f"Batch projects/{self.scope.project}/locations/{self.scope.region}/batches/{self.id}"
        )


class Store:
    """Every method is one statement; `transaction()` makes several of them atomic."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(Path(__file__).with_suffix(".sql").read_text())

    def close(self) -> None:
        """Leave the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What the block does is on disk at its end, or undone if it raises. Don't nest it."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # Clusters

    def cluster(self, scope: Scope, name: str) -> tuple[Cluster, float] | None:
        """The record and the time at which its last change is complete."""
        row = self.one(
            "SELECT body, settles FROM clusters WHERE project = ? AND region = ? AND name = ?",
            *scope,
            name,
        )
        return (Cluster.deserialize(row[0]), row[1]) if row else None

    def clusters(self, scope: Scope) -> list[tuple[Cluster, float]]:
        """All records of a scope, by name."""
        rows = self.all(
            "SELECT body, settles FROM clusters WHERE project = ? AND region = ? ORDER BY name",
            *scope,
        )
        return [(Cluster.deserialize(body), settles) for body, settles in rows]

    def put_cluster(self, scope: Scope, cluster: Cluster, settles: float) -> None:
        """Add or replace a record; `settles` is when its change is complete."""
        body = Cluster.serialize(cluster)
        self.run(
            "INSERT OR REPLACE INTO clusters VALUES (?, ?, ?, ?, ?)",
            *scope,
            cluster.cluster_name,
            body,
            settles,
        )

    # Jobs

    def job(self, key: JobKey) -> Job | None:
        """The job as it is now, if there is one."""
        row = self.one(
            "SELECT body FROM jobs WHERE project = ? AND region = ? AND id = ?", *key.scope, key.id
        )
        return Job.deserialize(row[0]) if row else None

    def require_job(self, key: JobKey) -> Job:
        """A job that is there because a batch names it."""
        job = self.job(key)
        assert job, key  # noqa: S101 - added with the batch, and never dropped
        return job

    def jobs(self, scope: Scope, *, active: bool = False) -> list[Job]:
        """Newest first; all, or those that have not ended."""
        rows = self.all(
            "SELECT body FROM jobs WHERE project = ? AND region = ? AND active >= ? "
            "ORDER BY sequence DESC",
            *scope,
            int(active),
        )
        return [Job.deserialize(body) for (body,) in rows]

    def active_jobs(self) -> list[JobKey]:
        """In the order of their submission."""
        return self._keys("active = 1")

    def jobs_to_journal(self) -> list[JobKey]:
        """Ended jobs that ran and whose line the journal may lack."""
        return self._keys("active = 0 AND ran = 1 AND journaled = 0")

    def add_job(self, key: JobKey, job: Job, operation: str) -> None:
        """A new job; `operation` is the last part of its operation's name."""
        self.run(
            "INSERT INTO jobs (project, region, id, body, active, ran, journaled, operation) "
            "VALUES (?, ?, ?, ?, 1, 0, 0, ?)",
            *key.scope,
            key.id,
            Job.serialize(job),
            operation,
        )

    def update_job(self, key: JobKey, job: Job, *, active: bool) -> None:
        """Replace a job; `active` is False in a final state."""
        self.run(
            "UPDATE jobs SET body = ?, active = ? WHERE project = ? AND region = ? AND id = ?",
            Job.serialize(job),
            int(active),
            *key.scope,
            key.id,
        )

    def mark_ran(self, key: JobKey) -> None:
        """Note that the job's process was started."""
        self.run(
            "UPDATE jobs SET ran = 1 WHERE project = ? AND region = ? AND id = ?",
            *key.scope,
            key.id,
        )

    def mark_journaled(self, key: JobKey) -> None:
        """Note that the journal has this job's line, or is to have none."""
        self.run(
            "UPDATE jobs SET journaled = 1 WHERE project = ? AND region = ? AND id = ?",
            *key.scope,
            key.id,
        )

    def drop_job(self, key: JobKey) -> None:
        """Forget a job."""
        self.run("DELETE FROM jobs WHERE project = ? AND region = ? AND id = ?", *key.scope, key.id)

    # Batches

    def batch(self, key: BatchKey) -> tuple[Batch, str] | None:
        """The record, and the id of the job that carries it out."""
        row = self.one(
            "SELECT body, job FROM batches WHERE project = ? AND region = ? AND id = ?",
            *key.scope,
            key.id,
        )
        return (Batch.deserialize(row[0]), row[1]) if row else None

    def batches(self, scope: Scope) -> list[str]:
        """Ids, newest first."""
        rows = self.all(
            "SELECT id FROM batches WHERE project = ? AND region = ? ORDER BY sequence DESC",
            *scope,
        )
        return [batch_id for (batch_id,) in rows]

    def batch_of_job(self, key: JobKey) -> BatchKey | None:
        """The batch that a job carries out."""
        row = self.one(
            "SELECT id FROM batches WHERE project = ? AND region = ? AND job = ?",
            *key.scope,
            key.id,
        )
        return BatchKey(key.scope, row[0]) if row else None

    def add_batch(self, key: BatchKey, batch: Batch, job_id: str) -> None:
        """A new batch."""
        self.run(
            "INSERT INTO batches (project, region, id, body, job) VALUES (?, ?, ?, ?, ?)",
            *key.scope,
            key.id,
            Batch.serialize(batch),
            job_id,
        )

    def drop_batch(self, key: BatchKey) -> None:
        """Forget a batch; its job stays, and nobody can ask for it."""
        self.run(
            "DELETE FROM batches WHERE project = ? AND region = ? AND id = ?", *key.scope, key.id
        )

    # Operations and request ids

    def job_operation(self, key: JobKey) -> str:
        """The last part of the name of a job's operation."""
        row = self.one(
            "SELECT operation FROM jobs WHERE project = ? AND region = ? AND id = ?",
            *key.scope,
            key.id,
        )
        assert row, key  # noqa: S101 - only asked for a job that was just read
        return str(row[0])

    def job_of_operation(self, scope: Scope, operation: str) -> JobKey | None:
        """The job of an operation."""
        row = self.one(
            "SELECT id FROM jobs WHERE operation = ? AND project = ? AND region = ?",
            operation,
            *scope,
        )
        return JobKey(scope, row[0]) if row else None

    def operation(self, name: str) -> tuple[operations_pb2.Operation, float] | None:
        """An operation of a cluster as it is at its end, and the time of that."""
        row = self.one("SELECT body, settles FROM operations WHERE name = ?", name)
        return (operations_pb2.Operation.FromString(row[0]), row[1]) if row else None

    def put_operation(self, operation: operations_pb2.Operation, settles: float) -> None:
        """Add the operation as it will be when it has ended."""
        self.run(
            "INSERT INTO operations VALUES (?, ?, ?)",
            operation.name,
            operation.SerializeToString(),
            settles,
        )

    def request(self, kind: str, scope: Scope, request_id: str) -> str | None:
        """What an earlier request with this id made; None for an empty id."""
        if not request_id:
            return None
        row = self.one(
            "SELECT target FROM requests WHERE kind = ? AND project = ? AND region = ? AND id = ?",
            kind,
            *scope,
            request_id,
        )
        return str(row[0]) if row else None

    def put_request(self, kind: str, scope: Scope, request_id: str, target: str) -> None:
        """Remember what a request made."""
        if request_id:
            self.run(
                "INSERT INTO requests VALUES (?, ?, ?, ?, ?)", kind, *scope, request_id, target
            )

    def _keys(self, condition: str) -> list[JobKey]:
        rows = self.all(
            f"SELECT project, region, id FROM jobs WHERE {condition} ORDER BY sequence"  # noqa: S608
        )
        return [JobKey(Scope(project, region), job_id) for project, region, job_id in rows]

    def run(self, statement: str, *values: object) -> None:
        """One statement without an answer."""
        with self._lock:
            self._db.execute(statement, values)

    def one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of an answer, if it has one."""
        with self._lock:
            row: tuple[Any, ...] | None = self._db.execute(statement, values).fetchone()
            return row

    def all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of an answer."""
        with self._lock:
            return self._db.execute(statement, values).fetchall()
