"""Writes new jobs to the disk; one transaction writes all jobs that are waiting.

A commit waits for the disk. If many clients insert jobs, their jobs share a commit.
"""

from __future__ import annotations

import asyncio

from pydag_emulators.bigquery.errors import ApiError, duplicate
from pydag_emulators.bigquery.jobs.job import Job, insert_job, is_known
from pydag_emulators.bigquery.storage.store import Cursor, Store


class Inserts:
    """The queue of jobs to be written to `pydag.jobs`. Use it in the event loop only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: asyncio.Queue[tuple[Job, asyncio.Future[None]]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start to work."""
        self._task = asyncio.create_task(self._work())

    def close(self) -> None:
        """Stop; whoever still waits gets no answer."""
        if self._task is not None:
            self._task.cancel()

    async def insert(self, job: Job) -> None:
        """Return when the job is on disk.

        Raises:
            ApiError: `duplicate` when its id is taken.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((job, done))
        await done

    async def _work(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                taken = await asyncio.to_thread(self._insert, [job for job, _ in batch])
            except Exception as error:  # noqa: BLE001 - it is the insert of each of them
                taken = [error] * len(batch)
            for (_, done), problem in zip(batch, taken, strict=True):
                if done.cancelled():
                    continue
                if problem is None:
                    done.set_result(None)
                else:
                    done.set_exception(problem)

    def _insert(self, jobs: list[Job]) -> list[Exception | None]:
        def insert(cursor: Cursor) -> list[Exception | None]:
            return [_insert_one(cursor, job) for job in jobs]

        return self._store.transact(insert)


def _insert_one(cursor: Cursor, job: Job) -> ApiError | None:
    if is_known(cursor, job.key):
        return duplicate("Job", str(job.key))
    insert_job(cursor, job)
    return None
