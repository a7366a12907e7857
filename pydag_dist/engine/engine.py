"""The engine's Python face: one method per operation of the script inside Redis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

import redis

from pydag_dist.engine.script import Script
from pydag_dist.engine.situation import read_situation
from pydag_dist.engine.snapshot import (
    Event,
    RunSnapshot,
    RunSummary,
    parse_event,
    parse_record,
    parse_run,
    parse_summary,
)
from pydag_dist.engine.why import explain
from pydag_dist.errors import EngineError, SchemaMismatch, UnknownRun

Source = Literal["coordinator", "chord", "tick"]
Outcome = Literal["success", "failed", "stopped", "dead", "revoked"]

# Tasks of one `plan_chunk`, and task ids of one chunk of downstream tasks: small enough that a
# script blocks Redis for milliseconds only.
CHUNK = 500


@dataclass(frozen=True)
class PlannedTask:
    """A row of a plan: everything that the engine has to know of a task.

    `keep` leaves the record of a resumed run's task as it was. Else the record is new: in `state`
    (``none``, or ``skipped``), for the try `try_number`, and with `ok`, `bad`, `dead_up` and
    `skips` upstream tasks that have ended before. Times are in seconds.
    """

    task: str
    queue: str
    rank: int
    downstream: Sequence[str]
    spec: str
    upstream: int = 0
    rule: str = "all_success"
    retries: int = 0
    retry_delay: float = 0
    retry_backoff: bool = False
    max_retry_delay: float = 0
    timeout: float = 0
    allow_failure: bool = False
    remote: bool = False
    keep: bool = False
    state: str = "none"
    try_number: int = 1
    ok: int = 0
    bad: int = 0
    dead_up: int = 0
    skips: int = 0

    def row(self) -> dict[str, Any]:
        """As `plan_chunk` of the script takes it."""
        return {
            "task": self.task,
            "queue": self.queue,
            "rank": f"{self.rank:06}",
            "downstream": chunked(self.downstream),
            "spec": self.spec,
            "upstream": self.upstream,
            "rule": self.rule,
            "retries": self.retries,
            "delay": round(self.retry_delay * 1e6),
            "backoff": int(self.retry_backoff),
            "longest": round(self.max_retry_delay * 1e6),
            "timeout": round(self.timeout * 1e6),
            "may_fail": int(self.allow_failure),
            "remote": int(self.remote),
            "keep": self.keep,
            "state": self.state,
            "try": self.try_number,
            "ok": self.ok,
            "bad": self.bad,
            "dead_up": self.dead_up,
            "skips": self.skips,
        }


@dataclass(frozen=True)
class Claim:
    """What a claimed message asks for: to `run` the try, or to `cancel` what it left running."""

    order: Literal["run", "cancel"]
    spec: dict[str, Any]


@dataclass(frozen=True)
class Held:
    """A try that a worker holds: the task, the try and its fencing token."""

    run: str
    task: str
    try_number: int
    token: str


def chunked(ids: Sequence[str]) -> list[str]:
    """Task ids in space-separated chunks of at most `CHUNK`."""
    return [" ".join(ids[at : at + CHUNK]) for at in range(0, len(ids), CHUNK)]


class Engine:
    """The state of every run, in Redis. Each method that changes it is one atomic script.

    `client` decodes responses. `source` is counted for the messages that this engine's calls
    push. Raises redis-py's errors when Redis can't answer.
    """

    def __init__(self, client: redis.Redis, prefix: str = "pydag", source: Source = "tick") -> None:
        self.redis: Any = client  # redis-py types replies as awaitable-or-not; see `_call`
        self.prefix = prefix
        self._source = source
        self._script = Script(client)

    @classmethod
    def from_url(cls, url: str, prefix: str = "pydag", source: Source = "tick") -> Self:
        """An engine with a connection pool of its own."""
        client = redis.Redis.from_url(url, decode_responses=True, health_check_interval=15)
        return cls(client, prefix, source)

    def _call(self, operation: str, *arguments: str | float) -> Any:
        return self._script(self.prefix, operation, self._source, *arguments)

    def key(self, name: str) -> str:
        """The full name of one of the engine's keys."""
        return f"{self.prefix}:{name}"

    def run_key(self, run_id: str, part: str | None = None) -> str:
        """The full name of one of a run's keys."""
        return self.key(f"run:{run_id}" + (f":{part}" if part else ""))

    # Submission and planning

    def submit(
        self,
        run_id: str,
        dag: str,
        dag_id: str,
        params: dict[str, Any] | None = None,
        *,
        processors: int = 0,
        weight: float = 1,
        timeout: float = 0,
        retention: int = 7 * 86400,
    ) -> bool:
        """Stores a DAG (as JSON) as a run to be planned; False if that run was there already."""
        packed = json.dumps(params or {})
        return bool(
            self._call(
                "submit", run_id, dag, dag_id, processors, weight, timeout, retention, packed
            )
        )

    def set_templates(self, templates: dict[str, str]) -> None:
        """Registers each queue's Celery message, in which ``<<marks>>`` stand for ids."""
        self.redis.hset(self.key("templates"), mapping=templates)

    def submitted_dag(self, run_id: str) -> str:
        """The DAG of a run, as JSON."""
        dag: str | None = self.redis.get(self.run_key(run_id, "dag"))
        if dag is None:
            raise self.unknown(run_id)
        return dag

    def run_params(self, run_id: str) -> tuple[dict[str, Any], str]:
        """What a run was submitted with: its params, and its logical date (ISO 8601, UTC).

        The logical date is the time of the submission if none was given.
        """
        names = ("params", "logical_date", "submitted_at")
        params, logical_date, submitted_at = self.redis.hmget(self.run_key(run_id), names)
        if submitted_at is None:
            raise self.unknown(run_id)
        submitted = datetime.fromtimestamp(int(submitted_at) / 1e6, UTC)
        return json.loads(params), logical_date or submitted.isoformat(timespec="seconds")

    def plan_begin(self, run_id: str) -> str | None:
        """A token that makes the caller the run's planner; None if it is planned already."""
        verdict, value = self._call("plan_begin", run_id)
        if verdict == "plan":
            return str(value)
        if value == "unknown":
            raise self.unknown(run_id)
        if value == "schema":
            raise SchemaMismatch(
                f"run {run_id} was written by another version of the engine: "
                "let that version's coordinators and workers end it, or submit it again"
            )
        return None

    def plan_chunk(self, run_id: str, token: str, tasks: Iterable[PlannedTask]) -> bool:
        """Writes at most `CHUNK` tasks of a plan; False if another planner took over."""
        rows = json.dumps([task.row() for task in tasks])
        return bool(self._call("plan_chunk", run_id, token, rows))

    def plan_first(self, run_id: str, token: str, tasks: Sequence[str]) -> bool:
        """Writes which tasks are to be decided at the start; False if another planner took over."""
        rows = json.dumps([{"task": "", "downstream": chunked(tasks)}])
        return bool(self._call("plan_chunk", run_id, token, rows))

    def plan_commit(
        self,
        run_id: str,
        token: str,
        total: int,
        queues: Iterable[str],
        *,
        first: int,
        ended: int = 0,
    ) -> bool:
        """Starts the planned run; False if another planner took over.

        `first` is the number of tasks that `plan_first` got; `ended` of all `total` tasks have
        ended before.
        """
        chunks = -(-first // CHUNK)
        verdict, more = self._call(
            "plan_commit", run_id, token, total, ended, " ".join(queues), chunks
        )
        if verdict == "incomplete":
            raise EngineError(f"run {run_id}: its plan does not have {total} tasks")
        self._finish(run_id, more)
        return bool(verdict == "ok")

    def kept(self, run_id: str) -> dict[str, dict[str, str]]:
        """The records of a resumed run's tasks as they were; empty for a run that is new."""
        kept = self.redis.hgetall(self.run_key(run_id, "kept"))
        return {task: parse_record(packed) for task, packed in kept.items()}

    def skipped_by_branches(self, run_id: str) -> dict[str, list[str]]:
        """Branch task -> the downstream tasks that it does not follow."""
        out = self.redis.hgetall(self.run_key(run_id, "out"))
        return {k[2:]: v.split() for k, v in out.items() if k.startswith("s/")}

    def resumed_from(self, run_id: str) -> str:
        """The task from which the run was resumed; empty for all that did not succeed."""
        return self.redis.hget(self.run_key(run_id), "from") or ""

    # Stopping and going on

    def cancel(self, run_id: str) -> str:
        """Stops a run: what has not started is cancelled at once, what runs is told to stop.

        The run's state: ``cancelling`` until the last task is gone, or what it has ended as.
        """
        state, more = self._call("cancel", run_id, "cancel")
        if state == "unknown":
            raise self.unknown(run_id)
        self._finish(run_id, more)
        return self.run_state(run_id) or str(state)

    def resume(self, run_id: str, from_task: str = "") -> None:
        """Submits an ended run again, to go on from what did not succeed.

        With `from_task`, that task and everything downstream of it runs again, too. Raises
        `EngineError` if the run has not ended, or has nothing to do.
        """
        verdict = self._call("resume", run_id, from_task)
        if verdict == "unknown":
            raise self.unknown(run_id)
        if verdict == "no task":
            raise EngineError(f"run {run_id} has no task {from_task}")
        if verdict == "success":
            raise EngineError(f"run {run_id} succeeded: name a task to run again from")
        if verdict != "ok":
            raise EngineError(f"run {run_id} is {verdict}: only a run that has ended can resume")

    def plan_refuse(self, run_id: str, error: str) -> bool:
        """Ends a submitted run that can't be planned as failed; False if it isn't queued."""
        return bool(self._call("plan_refuse", run_id, error))

    def _finish(self, run_id: str, more: int) -> None:
        while more:
            more = self._call("work", run_id)

    # A try's life with its worker

    def claim(
        self, run: str, task: str, try_number: int, push: str, worker: str, *, process: int
    ) -> Claim | str:
        """What to do, if this message is the first of its try; else why to ignore it.

        The worker's process of that id, which runs nothing else meanwhile, may ask again.
        """
        worker = worker.replace("|", "_")  # what separates the fields of a record
        verdict, value = self._call("claim", run, task, try_number, push, worker, process)
        return str(value) if verdict == "no" else Claim(verdict, json.loads(value))

    def release(
        self,
        held: Held,
        outcome: Outcome,
        result: str = "",
        error: str = "",
        skips: Iterable[str] = (),
    ) -> str:
        """Records how a try ended and releases what became ready: the chord callback.

        `result` is JSON or empty; `skips` are the downstream tasks that a branch does not follow.
        Answers ``ok``, or what forbade it: ``ended`` (again),
        ``lost`` (another claim holds it), ``waiting`` (not claimed), ``unknown``, ``schema``.
        """
        verdict, more = self._call(
            "release",
            held.run,
            held.task,
            held.try_number,
            held.token,
            outcome,
            result,
            error,
            " ".join(skips),
        )
        self._finish(held.run, more)
        return str(verdict)

    def renew(
        self, worker: str, slots: int, queues: Iterable[str], held: Sequence[Held] = ()
    ) -> list[str]:
        """Renews a worker's slots and leases; one answer a task.

        Answers: ``yours``, ``cancel`` (stop it), ``ended``, ``lost``, ``waiting`` (not claimed
        yet), ``unknown``.
        """
        items: list[str | int] = []
        for h in held:
            items += [h.run, h.task, h.try_number, h.token]
        answers: list[str] = self._call("renew", worker, slots, " ".join(queues), *items)
        return answers

    def leave(self, worker: str, queues: Iterable[str]) -> None:
        """Takes a worker's slots off the queues at once, instead of when they expire."""
        self.renew(worker, 0, queues)

    def tick(self) -> bool:
        """Does what time does; False if another tick ran less than 0.5 s ago."""
        epoch = self.redis.info("server")["run_id"]
        done, _, _ = self._call("tick", epoch)
        return bool(done)

    # Reading

    def run_state(self, run_id: str) -> str | None:
        """The run's state, None if Redis doesn't know the run."""
        state: str | None = self.redis.hget(self.run_key(run_id), "state")
        return state

    def snapshot(self, run_id: str) -> RunSnapshot:
        """The run and all its tasks at one moment."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self.run_key(run_id))
            pipe.hgetall(self.run_key(run_id, "tasks"))
            pipe.hgetall(self.run_key(run_id, "out"))
            head, records, out = pipe.execute()
        if not head:
            raise self.unknown(run_id)
        return parse_run(run_id, head, records, out)

    def why(self, run_id: str, task: str) -> str:
        """Why a task is not running, or where it runs, or how it ended; in one sentence."""
        return explain(read_situation(self, run_id, task))

    def runs(self, limit: int = 50) -> list[RunSummary]:
        """The newest runs, newest first."""
        ids = self.redis.zrevrange(self.key("runs"), 0, limit - 1)
        with self.redis.pipeline(transaction=False) as pipe:
            for run_id in ids:
                pipe.hgetall(self.run_key(run_id))
                pipe.scard(self.run_key(run_id, "active"))
            replies = pipe.execute()
        pairs = zip(ids, replies[::2], replies[1::2], strict=True)
        return [parse_summary(run_id, head, active) for run_id, head, active in pairs if head]

    def events(self, run_id: str, after: str = "0", block_ms: int | None = None) -> list[Event]:
        """The run's events after the one of id `after`; waits up to `block_ms` for the first.

        The stream is capped: who falls behind by thousands of events takes a snapshot.
        """
        streams = {self.run_key(run_id, "events"): after}
        reply = self.redis.xread(streams, block=block_ms)
        entries = (
            next(iter(reply.values()))[0]
            if isinstance(reply, dict) and reply
            else (reply[0][1] if reply else [])
        )
        return [parse_event(event_id, fields) for event_id, fields in entries]

    def unknown(self, run_id: str) -> UnknownRun:
        """The error that says that Redis does not have the run."""
        return UnknownRun(
            f"Redis has no run {run_id}: it was never submitted here, or it ended longer ago "
            "than the retention"
        )
