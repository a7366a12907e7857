"""One run, as a client sees it: its state, tasks and log lines, and waiting for its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydag_dist.client.arguments import deadline_of
from pydag_dist.client.logs import ALL_LINES, LogFilter, LogLine, LogReader, follow
from pydag_dist.client.marking import expansions, packed
from pydag_dist.client.resuming import Resumption, compare, head_of, preview
from pydag_dist.client.retrying import BLOCK_SECONDS, Retries
from pydag_dist.client.submitter import user_at_host
from pydag_dist.engine import (
    ENDED_RUN_STATES,
    Engine,
    Event,
    RunSnapshot,
    TaskSnapshot,
    unknown_run,
)
from pydag_dist.errors import EngineError, RedisAway, RunFailed, UnknownRun
from pydag_dist.settings import load_settings

if TYPE_CHECKING:
    from pydag_dist.dag import Dag
    from pydag_dist.log_store import LogStore
    from pydag_dist.why import Reason

# A busy run has thousands of events a second; waking up for each of them would take its CPU.
GATHER_SECONDS = 0.05
LOOK_SECONDS = 0.5
T = TypeVar("T")
MarkedState = Literal["success", "skipped", "failed"]
FAILED_TASKS_NAMED = 20
ERROR_SHOWN = 1_000  # characters of each one's error


class Run:
    """A run by its id; every property asks Redis anew.

    Raises `UnknownRun` when Redis does not have the run (never submitted, or past its retention),
    and `RedisAway` when there is no Redis for longer than the client retries.
    """

    def __init__(
        self,
        run_id: str,
        engine: Engine,
        retries: Retries,
        resubmit: Callable[[], bool] | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        self.id = run_id
        self.is_new = is_new
        """Whether this client's call has made it."""
        self._retries = retries
        self._goes_on = (
            f"Run {run_id} goes on without being watched; as soon as Redis is there: "
            f"pydag status {run_id}, or pydag logs {run_id} -f"
        )
        self._engine = engine
        self._steering = retries.of(engine.steering, self._goes_on)
        self._reading = retries.of(engine.reading, self._goes_on)
        self._connection = retries.of(engine.store.redis, self._goes_on)
        self._resubmit = resubmit

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    @property
    def state(self) -> str:
        """One of queued, running, cancelling, success, failed, cancelled."""
        state = self._state()
        if state is None:
            raise unknown_run(self.id)
        return state

    def _state(self) -> str | None:
        return self._reading.run_state(self.id)

    @property
    def tasks(self) -> dict[str, TaskSnapshot]:
        """Every task's state, tries, times (epoch seconds), worker, result and error, by id."""
        return self.snapshot().tasks

    def snapshot(self) -> RunSnapshot:
        """The run and all of its tasks at one moment."""
        return self._reading.snapshot(self.id)

    def logs(
        self,
        task: str | None = None,
        wanted: LogFilter = ALL_LINES,
        *,
        seen: RunSnapshot | None = None,
    ) -> list[LogLine]:
        """The log lines of one task and its children, or of all by their times, all tries.

        Those that are `wanted`; of the run as it was `seen`, if that is given, else as it is now.
        What Redis has no longer comes from the log store, if this host's settings name it.
        """
        lines = self._reader(task).read(seen or self.snapshot())
        return list(filter(wanted.fits, lines))

    def follow_logs(
        self, task: str | None = None, wanted: LogFilter = ALL_LINES
    ) -> Iterator[LogLine]:
        """The log lines that are there and, as they come, those written until the run's end.

        A run that Redis has lost meanwhile is submitted again as by `wait`.
        """
        reader = self._reader(task)
        lines = follow(
            reader, lambda: self._resubmitting(self.snapshot), self._reading, self.id, task
        )
        return filter(wanted.fits, lines)

    def events(self, after: str = "0", *, timeout: float | None = None) -> list[Event]:
        """What happened after that event; waits `timeout` seconds for something if need be."""
        block = None if timeout is None else max(1, round(timeout * 1000))
        return self._reading.events(self.id, after, block)

    def _newest(self) -> str:
        """The event to wait from: to read all that happens would be work for each task."""
        return self._reading.newest_event(self.id)

    def _happens(self, after: str, seconds: float) -> bool:
        """Whether something happens after that event; waits so many seconds for it."""
        return self._reading.has_event(self.id, after, max(1, round(seconds * 1000)))

    def follow(self, timeout: float | None = None, *, every: float = 1.0) -> Iterator[RunSnapshot]:
        """Snapshots of the run after changes, and every so many seconds; the last one has ended.

        `TimeoutError` after `timeout` seconds. Reading a big run's tasks takes a while, so it gets
        its snapshots less often: at most a twentieth of Redis's and this process's time. A run that
        Redis has lost meanwhile is submitted again as by `wait`.
        """
        deadline = deadline_of(timeout)
        while True:
            began = time.monotonic()
            with self._until(deadline, timeout):
                newest = self._newest()
                snapshot = self._resubmitting(self.snapshot)
            cost = time.monotonic() - began
            yield snapshot
            if snapshot.ended:
                return
            rest = math.inf if deadline is None else deadline - time.monotonic()
            if rest <= 0:
                raise self._timed_out(snapshot.state, timeout)
            with self._until(deadline, timeout):
                self._happens(newest, min(every, rest))
                self._pause(min(rest, max(GATHER_SECONDS, 20 * cost)))

    def cancel(self) -> str:
        """Stop the run: what has not started never will, what runs is told to stop.

        The run's state: "cancelling" until the last of its tasks is gone, then "cancelled"; or
        what the run had ended as before. `resume` goes on from there.
        """
        self._resubmit = None  # were Redis to lose the run now, nobody would want it back
        return self._cancel()

    def _cancel(self) -> str:
        return self._steering.cancel(self.id, user_at_host())

    def resumption(self, from_task: str | None = None, dag: Dag | None = None) -> Resumption:
        """What `resume` would run again, and why; nothing is changed."""
        return preview(self._reading, self.id, from_task or "", dag)

    def resume(self, from_task: str | None = None, dag: Dag | None = None) -> None:
        """Start the ended run again, under the same id, from what did not succeed on.

        Everything downstream of a task that runs again runs again, however it ended before.
        With `from_task`, that task and all that is downstream of it run again, too, whether they
        succeeded or not. `EngineError` if the run has not ended, or if there is nothing to do.

        With `dag`, a corrected DAG of the same id, the run goes on with that one: what succeeded is
        kept if its definition and everything upstream of it is unchanged; new tasks run, and those
        that are not in it any more are gone. `resumption` says before what that means.
        """
        with self._done_once(lambda: self.state in {"queued", "running"}):
            self._resume(from_task or "", dag)

    def _resume(self, from_task: str, dag: Dag | None) -> None:
        if dag is None:
            self._steering.resume(self.id, from_task, user_at_host())
            return
        from pydag_dist.dag import Dag

        stored = Dag.stored(self._reading.submitted_dag(self.id), source=self.id)
        found = compare(self._reading, self.id, stored, dag)
        text = dag.to_json()
        if not preview(self._reading, self.id, from_task, dag).again:
            raise EngineError(f"run {self.id} has nothing to do: all of its tasks are kept")
        arguments = (self.id, from_task, found.before, sorted(found.changed), text)
        self._steering.resume_with(*arguments, by=user_at_host(), **head_of(dag))

    def mark(self, task: str, state: MarkedState, result: Any = None) -> None:
        """Say how a task ended, since somebody did its work, or knows that it need not be done.

        A task that waits ends at once, one that runs is stopped first (its remote job is
        cancelled), and what is downstream of it is decided as by an end of its own. In a run that
        has ended, `resume` goes on from there: the marked task is kept unless it is ``failed``, and
        everything downstream of it runs again. A success may have a `result`, else that is null.
        `EngineError` if the task has ended and its run goes on; `PydagError` for what is no result.
        """
        text = packed(task, state, result)
        from pydag_dist.dag import Dag

        dag = Dag.stored(self._reading.submitted_dag(self.id), source=self.id)
        expand = expansions(dag, task, state, result)
        with self._done_once(lambda: self.tasks[task].state in {state, "cancelling"}):
            self._steering.mark(self.id, task, state, user_at_host(), result=text, expand=expand)

    def why(self, task: str | None = None) -> str:
        """Why that task is not running, or where it runs, or how it ended; in one sentence.

        Without a task what keeps the run from its success, a sentence on each line: first the run
        itself, then what failed, what nobody can run, what waits and what runs.
        """
        from pydag_dist.why import why_task

        if task is None:
            return "\n".join(reason.why for reason in self.reasons())
        return self._retries.call(
            lambda: why_task(self._engine.reading, self.id, task), self._goes_on
        )

    def reasons(self, seen: RunSnapshot | None = None) -> list[Reason]:
        """The sentences of `why` without a task, with the tasks that they are about.

        Of the run as it was `seen`, if that is given, else as it is now.
        """
        from pydag_dist.why import why_run

        return self._retries.call(
            lambda: why_run(self._engine.reading, self.id, seen), self._goes_on
        )

    def wait(self, timeout: float | None = None) -> str:
        """Block until the run ends and return "success".

        `RunFailed` names the failed tasks, or says that the run was cancelled; `TimeoutError`
        after `timeout` seconds (the run goes on). A run that this client submitted and that Redis
        has lost meanwhile is submitted again, under the same id.
        """
        deadline = deadline_of(timeout)
        with self._until(deadline, timeout):
            while True:
                newest = self._newest()
                if (state := self._resubmitting(lambda: self.state)) == "success":
                    return state
                if state in ENDED_RUN_STATES:
                    ended = self._resubmitting(self.snapshot)
                    if ended.ended and ended.state != "success":
                        raise RunFailed(failure_text(ended))
                    continue  # it was lost since, or resumed
                rest = BLOCK_SECONDS if deadline is None else deadline - time.monotonic()
                if rest <= 0:
                    raise self._timed_out(state, timeout)
                if self._happens(newest, min(rest, BLOCK_SECONDS)):
                    time.sleep(min(rest, GATHER_SECONDS))

    @contextmanager
    def _done_once(self, is_done: Callable[[], bool]) -> Iterator[None]:
        """In here a repeated call may be refused, since it is done: its answer was lost."""
        before = self._retries.interruptions
        try:
            yield
        except EngineError:
            if self._retries.interruptions == before or not is_done():
                raise

    @contextmanager
    def _until(self, deadline: float | None, timeout: float | None) -> Iterator[None]:
        """In here Redis is waited for until then; a `TimeoutError` says that it was in vain."""
        try:
            with self._retries.until(deadline):
                yield
        except RedisAway as error:
            if deadline is None or time.monotonic() < deadline:
                raise
            raise TimeoutError(f"after {timeout:g} s: {error}") from error

    def _timed_out(self, state: str, timeout: float | None) -> TimeoutError:
        return TimeoutError(f"run {self.id} is {state} after {timeout:g} s, and goes on")

    def _pause(self, seconds: float) -> None:
        """Sleep, but not past the run's end."""
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            time.sleep(min(rest, LOOK_SECONDS))
            if rest > LOOK_SECONDS and self._state() in ENDED_RUN_STATES:
                return

    def _reader(self, task: str | None) -> LogReader:
        def open_store() -> LogStore | None:
            from pydag_dist.log_store import open_log_store

            return open_log_store(load_settings())

        prefix = self._engine.store.prefix
        return LogReader(self._connection, prefix, self.id, task, open_store)

    def _resubmitting(self, ask: Callable[[], T]) -> T:
        """What is asked of the run, which is submitted again as often as Redis has lost it.

        Redis may lose it before any call, also before the one that follows the submission.
        """
        is_there = False
        while True:
            try:
                return ask()
            except UnknownRun:
                # What is there and has no state, or no DAG, no submission makes whole.
                if self._resubmit is None or is_there:
                    raise
                is_there = not self._resubmit()


def failure_text(run: RunSnapshot) -> str:
    """One line for the run, and one for each failed task with its error."""
    from pydag_dist.why.failure import failure_of

    failed = {name: task for name, task in run.tasks.items() if task.state == "failed"}
    lines = [_verdict(run, len(failed))]
    for name, task in list(failed.items())[:FAILED_TASKS_NAMED]:
        why = failure_of(run, name) or "no error was told"
        if len(why) > ERROR_SHOWN:
            why = f"{why[:ERROR_SHOWN]}… ({len(why) - ERROR_SHOWN:,} characters more)"
        lines.append(f"  {name} (try {task.try_number}): {why}")
    if len(failed) > FAILED_TASKS_NAMED:
        lines.append(f"  … and {len(failed) - FAILED_TASKS_NAMED} more")
    return "\n".join(lines)


def _verdict(run: RunSnapshot, failed: int) -> str:
    if run.error:  # it could not be planned
        return f"run {run.run_id} failed: {run.error}"
    counts, total = run.counts, len(run.tasks)
    if run.state == "failed" and run.reason != "timeout":
        return f"run {run.run_id} failed: {failed} of {total} tasks failed"
    how = "was cancelled" if run.state == "cancelled" else "failed: it reached its timeout"
    if run.started_at is None:
        return f"run {run.run_id} {how}, before it was planned"
    ended = ", ".join(f"{counts[state]} {state}" for state in sorted(counts))
    return f"run {run.run_id} {how}; of its {total} tasks: {ended}"
