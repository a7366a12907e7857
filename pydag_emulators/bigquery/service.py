"""The parts of the service that a request or a job needs, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydag_emulators.bigquery.errors import duplicate, not_found, unimplemented
from pydag_emulators.bigquery.faults import Fault
from pydag_emulators.bigquery.jobs.inserts import Inserts
from pydag_emulators.bigquery.jobs.job import (
    Job,
    JobKey,
    ended_jobs,
    find_job,
    unfinished_jobs,
)
from pydag_emulators.bigquery.jobs.journal import Journal
from pydag_emulators.bigquery.jobs.recent_rows import RecentRows
from pydag_emulators.bigquery.jobs.runner import Run, Runner, Work
from pydag_emulators.bigquery.storage.catalog import drop_expired
from pydag_emulators.bigquery.storage.contents import Sizes
from pydag_emulators.bigquery.storage.store import Store
from pydag_emulators.faults import Faults

_TIDY_SECONDS = 3600

Kinds = Mapping[str, Callable[["Service", Run], None]]
"""Kind of jobs -> the function that does their work."""


@dataclass
class Service:
    """Everything that lives as long as the process."""

    data: Path
    gcs_root: Path
    store: Store
    sizes: Sizes
    journal: Journal
    faults: Faults[Fault]
    runner: Runner
    kinds: Kinds
    writers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(32, "writer"))
    """Threads for requests that change tables; they may have to wait for a job that does."""
    recent_rows: RecentRows = field(default_factory=RecentRows)
    _inserts: Inserts = field(init=False)
    _tidying: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._inserts = Inserts(self.store)

    @classmethod
    def open(cls, data: Path, gcs_root: Path, faults: Faults[Fault], kinds: Kinds) -> Service:
        """Open the data directory, complete the journal, and run unfinished jobs again."""
        data.mkdir(parents=True, exist_ok=True)
        store = Store(data / "bigquery.duckdb")
        journal = Journal(data / "journal.jsonl")
        for job in reversed(store.transact(ended_jobs)):
            journal.write(job)
        runner = Runner(store, journal, faults)
        service = cls(data, gcs_root, store, Sizes(), journal, faults, runner, kinds)
        service._inserts.open()
        service._tidying = asyncio.create_task(service._tidy())
        unfinished = store.transact(unfinished_jobs)
        service.uploads.mkdir(exist_ok=True)
        service._drop_uploads({job.upload for job in unfinished})
        for job in unfinished:
            runner.submit(job, service._work(job))
        return service

    @property
    def uploads(self) -> Path:
        """Where uploaded files wait for their load job."""
        return self.data / "uploads"

    async def close(self) -> None:
        """Give up running jobs, write everything to disk."""
        if self._tidying is not None:
            self._tidying.cancel()
        self._inserts.close()
        await self.runner.close()
        self.writers.shutdown(cancel_futures=True)
        self.store.close()
        self.journal.close()

    async def _tidy(self) -> None:
        """Now and every hour, drop the rows of queries of more than a day ago."""
        while True:
            await asyncio.to_thread(self.store.transact, drop_expired)
            await asyncio.sleep(_TIDY_SECONDS)

    async def start(self, job: Job) -> Job:
        """Make the job durable, then run it.

        Raises:
            ApiError: `duplicate` when its id is taken, by a running or an ended job.
        """
        work = self._work(job)
        if self.runner.known(job.key) is not None:
            raise duplicate("Job", str(job.key))
        self.runner.live[job.key] = job  # from here on, the id is taken
        try:
            await self._inserts.insert(job)
        except BaseException:
            self.runner.live.pop(job.key, None)
            raise
        self.runner.submit(job, work)
        return job

    async def job(self, project: str, job_id: str, location: str | None) -> Job:
        """The job of that id; without a location, one of the multi-regions US and EU.

        Raises:
            ApiError: `notFound`.
        """
        for place in [location] if location else ["US", "EU"]:
            key = JobKey(project, place, job_id)
            job = self.runner.known(key)
            if job is None:
                job = await asyncio.to_thread(self.store.transact, partial(find_job, key=key))
            if job is not None:
                return job
        raise not_found("Job", str(JobKey(project, location or "US", job_id)))

    async def ended_within(self, job: Job, seconds: float) -> bool:
        """Wait for the job's end for at most this many seconds, or until the service stops."""
        if job.finished.is_set():
            return True
        waits = [
            asyncio.ensure_future(event.wait()) for event in (job.finished, self.runner.stopping)
        ]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return job.finished.is_set()

    def _work(self, job: Job) -> Work:
        work = self.kinds.get(job.kind)
        if work is None:
            raise unimplemented(f"{job.kind or 'unknown'} jobs")
        return partial(work, self)

    def _drop_uploads(self, used: set[str | None]) -> None:
        for path in self.uploads.iterdir():
            if path.name not in used:
                path.unlink()
