"""Runs jobs, each in a thread with a cursor of its own, and records their ends.

The end of a job is recorded in the same transaction as its effect.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import duckdb

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.faults import RUN, Fault
from pydag_emulators.bigquery.jobs.job import Job, JobKey, Outcome, Stopping, insert_end, insert_job
from pydag_emulators.bigquery.jobs.journal import Journal
from pydag_emulators.bigquery.jobs.locks import Locks, Taken
from pydag_emulators.bigquery.jobs.transactions import OpenTransaction, aborted
from pydag_emulators.bigquery.names import DatasetRef, TableRef
from pydag_emulators.bigquery.storage.catalog import now_ms
from pydag_emulators.bigquery.storage.duck_errors import api_error
from pydag_emulators.bigquery.storage.store import Cursor, Store, transaction
from pydag_emulators.faults import Faults

_LOG = logging.getLogger(__name__)
_CONCURRENT_JOBS = 100
_INTERRUPT_EVERY = 0.05
_RECENT_JOBS = 2000

Body = Callable[[Cursor], Outcome]


class Run:
    """One run of one job: what the work of its kind needs."""

    def __init__(
        self,
        runner: Runner,
        job: Job,
        cursor: Cursor,
        *,
        is_new: bool,
        transaction: OpenTransaction | None = None,
    ) -> None:
        self._runner = runner
        self.cursor = cursor
        self.transaction = transaction
        """That the job is in, or that the script has begun."""
        self._is_new = is_new  # its row in pydag.jobs is not there yet: a child job
        self.job = job

    def finish(
        self, body: Body, *, writes: TableRef | DatasetRef | None, exclusive: bool = True
    ) -> None:
        """Do the job's effect and record its end, in one transaction.

        `body` may run several times, if transactions conflict, and has no other effects.
        """
        job = self.job

        def work(cursor: Cursor) -> Outcome:
            job.control.running_on(cursor)
            job.control.check()
            outcome = body(cursor)
            job.outcome, job.ended = outcome, max(now_ms(), job.created)
            if self._is_new:
                insert_job(cursor, job)
            insert_end(cursor, job)
            return outcome

        outer = self.transaction
        with ExitStack() as lock:
            lock.enter_context(
                self._runner.locked(writes, exclusive=exclusive, job=job, owner=outer)
            )
            if outer is not None:
                outer.do(job, work, lock)
                return
            transaction(self.cursor, work, job.control.enter_commit)
        self._runner.ended(job)

    def begin(self) -> OpenTransaction:
        """From now on, the statements of this script are in one transaction."""
        runner = self._runner
        self.transaction = OpenTransaction(self.cursor, runner.store, runner.ended)
        return self.transaction

    def end_with(self, error: BaseException) -> ApiError | None:
        """End the job with an error of its work; if the service is ending, record nothing."""
        if isinstance(error, duckdb.InterruptException):
            error = self.job.control.reason() or error
        if isinstance(error, Stopping):
            _LOG.info("given up, will run again at the next start: %s", self.job.key)
            return None
        failure = api_error(error)
        self._fail(failure)
        return failure

    def _fail(self, error: ApiError) -> None:
        job = self.job
        job.control.running_on(None)
        job.outcome.wrote = job.outcome.result = job.outcome.schema = None
        job.fail(error)
        job.ended = max(now_ms(), job.created)

        def record(cursor: Cursor) -> None:
            if self._is_new:
                insert_job(cursor, job)
            insert_end(cursor, job)

        self._runner.store.transact(record)
        self._runner.ended(job)

    def child(self, job: Job, outer: OpenTransaction | None = None) -> Run:
        """The run of one statement of this script, in a transaction of several or on its own."""
        job.control = self.job.control
        job.started = now_ms()
        job.state = "RUNNING"
        self._runner.live[job.key] = job
        return Run(self._runner, job, self.cursor, is_new=True, transaction=outer)


Work = Callable[[Run], None]


class Runner:
    """Runs jobs, and has those that have not ended."""

    def __init__(self, store: Store, journal: Journal, faults: Faults[Fault]) -> None:
        self.store = store
        self.live: dict[JobKey, Job] = {}
        self._recent: dict[JobKey, Job] = {}
        self._recent_lock = threading.Lock()
        self._journal = journal
        self._faults = faults
        self._locks = Locks()
        self._pool = ThreadPoolExecutor(_CONCURRENT_JOBS, "job")
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()

    def submit(self, job: Job, work: Work) -> None:
        """Start the job, which is durable already, as soon as a thread is free."""
        self.live[job.key] = job
        timeout = int(job.configuration.get("jobTimeoutMs") or 0)
        if timeout:
            message = f"Job execution was cancelled: Job timed out after {timeout / 1000:g}s"
            self._loop.call_later(timeout / 1000, self.cancel, job, ApiError("stopped", message))
        fault = self._faults.take(RUN, job.key.job_id)
        if fault is None:
            self._pool.submit(self._run, job, work)
        else:
            self._spawn(self._run_later(job, work, fault))

    async def _run_later(self, job: Job, work: Work, fault: Fault) -> None:
        job.state, job.started = "RUNNING", now_ms()
        await job.control.wait_for_stop(fault.delay)
        if self.stopping.is_set():
            return
        error = fault.error()

        def fail(_run: Run) -> None:
            if error is not None:
                raise error

        self._pool.submit(self._run, job, fail if error else work)

    def cancel(self, job: Job, reason: BaseException) -> None:
        """Stop the job, if its commit has not begun. Returns at once."""
        job.control.stop(reason)
        self._locks.wake()
        self._spawn(self._interrupt(job))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up all jobs that run, and wait until their threads have stopped."""
        self.stopping.set()
        for job in list(self.live.values()):
            self.cancel(job, Stopping())
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        for task in list(self._tasks):
            task.cancel()

    def ended(self, job: Job) -> None:
        """Tell all that wait that the job's end is committed."""
        self._journal.write(job)
        job.state = "DONE"
        self._remember(job)
        self.live.pop(job.key, None)
        self._loop.call_soon_threadsafe(job.finished.set)

    def known(self, key: JobKey) -> Job | None:
        """The job, if it has not ended or has ended lately."""
        return self.live.get(key) or self._recent.get(key)

    def _remember(self, job: Job) -> None:
        with self._recent_lock:
            self._recent[job.key] = job
            if len(self._recent) > _RECENT_JOBS:
                del self._recent[next(iter(self._recent))]

    @contextmanager
    def locked(
        self,
        what: TableRef | DatasetRef | None,
        *,
        exclusive: bool,
        job: Job | None = None,
        owner: OpenTransaction | None = None,
    ) -> Iterator[None]:
        """Hold the lock to write to a table, or to create or drop a dataset.

        Raises:
            ApiError: another transaction of several statements has it, if `owner` is one, too.
        """
        hold = partial(
            self._locks.hold, check=None if job is None else job.control.check, owner=owner
        )
        with ExitStack() as held:
            try:
                if isinstance(what, TableRef):
                    held.enter_context(hold(str(what.in_dataset), exclusive=False))
                if what is not None:
                    held.enter_context(hold(str(what), exclusive=exclusive))
            except Taken as taken:
                raise aborted(str(what)) from taken
            yield

    def _run(self, job: Job, work: Work) -> None:
        if self.stopping.is_set():
            return
        cursor = self.store.cursor()
        run = Run(self, job, cursor, is_new=False)
        try:
            job.started = job.started or now_ms()
            job.state = "RUNNING"
            job.control.check()
            work(run)
        except BaseException as error:  # noqa: BLE001
            run.end_with(error)
        finally:
            cursor.close()

    async def _interrupt(self, job: Job) -> None:
        while not job.finished.is_set():
            job.control.interrupt()
            await asyncio.sleep(_INTERRUPT_EVERY)
