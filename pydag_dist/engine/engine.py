"""The engine's Python face: one method per operation of the script inside Redis."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, Self

import redis

from pydag_dist.dag import limits
from pydag_dist.dag.ids import check_group, check_id, is_id, worker_name
from pydag_dist.engine.connection import connect
from pydag_dist.engine.listing import LOOK, Listing, Wanted
from pydag_dist.engine.members import Member, Refusal, read_members, read_refusals
from pydag_dist.engine.protocol import Kind, MarkState, Outcome, Source, unpack_record
from pydag_dist.engine.script import Script
from pydag_dist.engine.situation import read_situation
from pydag_dist.engine.snapshot import (
    Event,
    RunSnapshot,
    RunSummary,
    children_of,
    parse_event,
    parse_run,
    parse_summary,
    seconds,
    task_ids,
    unplanned,
)
from pydag_dist.engine.values import (
    CHUNK,
    Claim,
    Deferral,
    Due,
    Held,
    LogPart,
    LostTask,
    PlannedTask,
    chunked,
)
from pydag_dist.engine.why import explain
from pydag_dist.engine.why_run import Reason, explain_run
from pydag_dist.errors import EngineError, SchemaMismatch, UnknownRun

MAX_RESULTS = 10_000_000  # bytes of results that one task is given
_SLICE = 200  # results that are read at once
_PAGE = 500  # runs that are read at once

MAX_NEED, MAX_REASON = 100, 500  # characters

# Why a task can't be marked, by the answer of `mark`; `ended` for the state in which it is.
_UNMARKED = {
    "no task": "the run has no such task",
    "queued": "the run is not planned yet",
    "broken": "its record is damaged; `pydag resume` plans the run anew",
    "schema": "another version of the engine wrote the run",
    "expanding": "it has become many tasks; mark those of them that want it, such as TASK.0",
    "children": "the tasks that expand over its result would become too many",
    "ended": "it has ended as {state}, and what is downstream of it was decided by that; let the "
    "run end or cancel it, then mark the task and resume the run",
}

_NOT_IN_NEEDS = re.compile(r"[^A-Za-z0-9_.:-]")


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
        return cls(connect(url), prefix, source)

    def disconnect(self) -> None:
        """Make new connections from now on: where one leads nowhere, the others do, too."""
        self.redis.connection_pool.disconnect()

    def _call(self, operation: str, *arguments: str | float) -> Any:
        return self._script(self.prefix, operation, self._source, *arguments)

    def key(self, name: str) -> str:
        """The full name of one of the engine's keys."""
        return f"{self.prefix}:{name}"

    def run_key(self, run_id: str, part: str | None = None) -> str:
        """The full name of one of a run's keys; `UnknownRun` for what can't be a run's id."""
        if not is_id(run_id):
            raise self.unknown(run_id)
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
        logical_date: str = "",
        hooks: bool = False,
        tags: Sequence[str] = (),
        submitted_by: str = "",
    ) -> bool:
        """Stores a DAG (as JSON) as a run to be planned; False if that run was there already.

        `logical_date` is an ISO 8601 time, else that of the submission; `hooks`: whether the DAG
        has webhooks; `submitted_by` is a short text without spaces. `EngineError` for what is no
        id, or beyond the limits of dag/limits.py.
        """
        check_id("run id", run_id)
        head: dict[str, str | float] = {
            "dag_id": dag_id,
            "processors": processors,
            "weight": weight,
            "timeout": timeout,
            "retention": retention,
            "params": json.dumps(params or {}),
            "logical_date": logical_date,
            "hooks": int(hooks),
            "dag_hash": dag_hash(dag),
        }
        if tags:
            head["tags"] = json.dumps(list(tags), ensure_ascii=False)
        if submitted_by:
            head["submitted_by"] = submitted_by
        return bool(self._call("submit", run_id, dag, *_flat(head)))

    def run_head(self, run_id: str) -> dict[str, str]:
        """The run's hash as it is: see the table of keys."""
        head: dict[str, str] = self.redis.hgetall(self.run_key(run_id))
        if not head:
            raise self.unknown(run_id)
        return head

    def set_template(self, template: str) -> None:
        """Says how a Celery message looks; ``<<marks>>`` stand for its queue and ids."""
        self.redis.set(self.key("template"), template)

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

    def plan_first(
        self,
        run_id: str,
        token: str,
        tasks: Sequence[str],
        params: Mapping[str, str] = MappingProxyType({}),
        gone: Mapping[str, int] = MappingProxyType({}),
    ) -> bool:
        """Writes which tasks are to be decided at the start, and params of the run, as JSON.

        `gone` are tasks that the DAG has no longer, with their last tries. False if another planner
        took over.
        """
        row = {"task": "", "downstream": chunked(tasks), "params": _flat(params)}
        row["gone"] = [str(part) for part in _flat(gone)]
        rows = json.dumps([row])
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
        failures: int = 0,
    ) -> bool:
        """Starts the planned run; False if another planner took over.

        `first` is the number of tasks that `plan_first` got; `ended` of all `total` tasks have
        ended before, `failures` of these so that the run fails.
        """
        chunks = -(-first // CHUNK)
        verdict, more = self._call(
            "plan_commit", run_id, token, total, ended, failures, " ".join(queues), chunks
        )
        if verdict == "incomplete":
            raise EngineError(f"run {run_id}: its plan does not have {total} tasks")
        self._finish(run_id, more)
        return bool(verdict == "ok")

    def restore(self, run_id: str, tasks: Sequence[LostTask]) -> bool:
        """Gives back what is known of a lost run's tasks, some at a time, before `restore_run`.

        False if Redis has the run.
        """
        rows = json.dumps([task.row() for task in tasks])
        return bool(self._call("restore", run_id, rows))

    def restore_run(
        self, run_id: str, dag: str, head: Mapping[str, str], *, planned: bool = True
    ) -> bool:
        """Gives a lost run back to the planners, with the fields of its hash; False if it's there.

        If it was `planned`, its tasks that had ended stay so, and the others go on with the same
        try; else it is new, or was just resumed, `from` a task if its hash says so. With a `reason`
        in its hash the run is cancelled as soon as it is planned.
        """
        return bool(self._call("restore_run", run_id, dag, int(planned), *_flat(head)))

    def is_restored(self, run_id: str) -> bool:
        """Whether the run is here because Redis had lost it."""
        return bool(self.redis.hexists(self.run_key(run_id), "restored"))

    def let_expire(self, run_id: str) -> bool:
        """An ended run's keys live for its retention from now on; False if it has not ended."""
        return bool(self._call("let_expire", run_id))

    # Webhooks

    def take_webhook(self, lease: float = 30) -> tuple[str, int] | None:
        """An ended run whose webhooks are due, and how often they were tried before.

        Nobody else gets it for `lease` seconds.
        """
        taken = self._call("take_webhook", round(lease * 1e6))
        return (taken[0], int(taken[1])) if taken else None

    def webhook_later(self, run_id: str, delay: float) -> None:
        """Try the run's webhooks again in `delay` seconds."""
        self._call("webhook_later", run_id, round(delay * 1e6))

    def webhook_put_off(self, run_id: str, delay: float) -> None:
        """Likewise, of webhooks that were taken and not called: that was no try."""
        self.webhook_later(run_id, delay)
        self._call("webhook_not_tried", run_id)

    def webhook_done(self, run_id: str) -> None:
        """The run's webhooks were called, or given up."""
        self.redis.zrem(self.key("webhooks"), run_id)

    def kept(self, run_id: str) -> dict[str, dict[str, str]]:
        """The records of a resumed run's tasks as they were; empty for a run that is new."""
        kept = self.redis.hgetall(self.run_key(run_id, "kept"))
        return {task: unpack_record(packed) for task, packed in kept.items()}

    def outcomes(self, run_id: str) -> dict[str, str]:
        """What tasks of the run have left: see the key `run:ID:out`."""
        out: dict[str, str] = self.redis.hgetall(self.run_key(run_id, "out"))
        return out

    def resumed_because(self, run_id: str) -> tuple[str, list[str], list[str]]:
        """The task from which the run was resumed, if one was named; what its new DAG has changed.

        And what was marked since it ended.
        """
        names = ("from", "changed", "marked")
        from_task, changed, marked = self.redis.hmget(self.run_key(run_id), names)
        return from_task or "", (changed or "").split(), (marked or "").split()

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
        self._check_resumed(run_id, verdict, from_task)

    def resume_with(
        self,
        run_id: str,
        from_task: str,
        before: str,
        changed: Iterable[str],
        dag: str,
        **head: Any,
    ) -> None:
        """Likewise with another DAG, as JSON; `head`: what `submit` was given of the DAG.

        `changed` are the tasks that are not what they were in the DAG of which `before` is the
        hash (`dag_hash` in the run's hash); `EngineError` if the run has another one by now.
        """
        now = self.run_head(run_id)
        fields = {"params": now["params"], "retention": now["retention"], **head}
        fields["dag_hash"] = dag_hash(dag)
        arguments = (from_task, before, " ".join(changed), dag, *_flat(fields))
        self._check_resumed(run_id, self._call("resume_with", run_id, *arguments), from_task)

    def _check_resumed(self, run_id: str, verdict: str, from_task: str) -> None:
        if verdict == "unknown":
            raise self.unknown(run_id)
        if verdict == "no task":
            raise EngineError(f"run {run_id} has no task {from_task}")
        if verdict == "another dag":
            raise EngineError(f"run {run_id} is of another DAG: its dag_id must stay as it is")
        if verdict == "another":
            raise EngineError(
                f"run {run_id} was resumed with another DAG meanwhile: look at it again"
            )
        if verdict == "success":
            raise EngineError(f"run {run_id} succeeded: name a task to run again from")
        if verdict != "ok":
            raise EngineError(f"run {run_id} is {verdict}: only a run that has ended can resume")

    def mark(
        self,
        run_id: str,
        task: str,
        state: MarkState,
        by: str,
        *,
        result: str = "",
        expand: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Ends a task as `by` says; a try of it that runs is stopped first.

        In a run that has ended, a resume goes on from there. `result` is JSON or empty; `expand`
        says into how many each task expands that does so over the result.
        """
        expansions = " ".join(f"{name} {number}" for name, number in expand.items())
        who = worker_name(by)
        verdict, more = self._call("mark", run_id, task, state, who, result, expansions)
        if verdict == "unknown":
            raise self.unknown(run_id)
        if verdict != "ok":
            why = _UNMARKED.get(verdict, _UNMARKED["ended"]).format(state=verdict)
            raise EngineError(f"{task} of run {run_id} can't be marked: {why}")
        self._finish(run_id, more)

    def plan_refuse(self, run_id: str, error: str) -> bool:
        """Ends a submitted run that can't be planned as failed; False if it isn't queued."""
        told = error[: limits.ERROR].encode(errors="replace").decode()
        return bool(self._call("plan_refuse", run_id, told))

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
        name = worker_name(worker)
        verdict, value, *settled = self._call("claim", run, task, try_number, push, name, process)
        if verdict == "no":
            return str(value)
        return Claim(verdict, json.loads(value), *map(int, settled))

    def release(
        self,
        held: Held,
        outcome: Outcome,
        result: str = "",
        error: str = "",
        *,
        skips: Iterable[str] = (),
        expand: Mapping[str, int] | None = None,
    ) -> str:
        """Records how a try ended and releases what became ready: the chord callback.

        `result` is JSON or empty; `skips` are the downstream tasks that a branch does not follow;
        `expand` says into how many each task expands that does so over the result.
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
            " ".join(f"{task} {number}" for task, number in (expand or {}).items()),
        )
        self._finish(held.run, more)
        return str(verdict)

    def defer(self, deferrals: Sequence[Deferral]) -> list[str]:
        """Gives tries back whose remote jobs run; one answer each.

        Answers: ``ok``; ``cancel`` (still held: cancel its job and release it as stopped); else
        what the try is instead (``lost``, ``ended``, ``waiting``, ``unknown``): forget it.
        """
        items: list[str | int] = []
        for d in deferrals:
            h = d.held
            items += [h.run, h.task, h.try_number, h.token]
            items += [check_group(d.group), round(d.delay * 1e6), d.handle]
        answers: list[str] = self._call("defer", *items)
        return answers

    def refuse(self, held: Sequence[Held], worker: str, need: str, reason: str) -> list[str]:
        """Gives tries back that `worker` can't run, for a reason of its host; one answer each.

        `need` is what the host lacks, as "kind:name": tasks that need the same go to other workers
        for a while. Empty, if only this process of the worker can't. Answers: ``ok``, or what the
        try is instead.
        """
        items: list[str | int] = []
        for h in held:
            items += [h.run, h.task, h.try_number, h.token]
        need = _NOT_IN_NEEDS.sub("-", need)[:MAX_NEED]
        told = " ".join(reason.split())[:MAX_REASON]
        answers: list[str] = self._call("refuse", worker_name(worker), need, told, *items)
        return answers

    def claim_polls(self, queue: str, group: str, push: str, worker: str) -> list[Due]:
        """The deferred tries that a poll message is for: at most 100, none if it's a copy.

        The worker has 30 s to `release` or `defer` each of them, with the token that it gets.
        """
        flat = self._call("claim_polls", queue, group, push, worker_name(worker))
        return [
            Due(Held(run, task, int(number), push), json.loads(spec), handle)
            for run, task, number, spec, handle in zip(*[iter(flat)] * 5, strict=True)
        ]

    def deferred_handle(self, run: str, task: str) -> str:
        """The handle of the task's last deferral, maybe of an earlier try; empty without one."""
        kept: str | None = self.redis.hget(self.run_key(run, "out"), f"d/{task}")
        return (kept or "").partition(" ")[2]

    def wanted(self, queue: str) -> bool:
        """Whether anything waits for a slot of the queue: a message, a ready task, a due poll."""
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.llen(self.key(f"q:{queue}"))
            pipe.zcard(self.key(f"fair:{queue}"))
            pipe.hexists(self.key("windows"), f"due/{queue}")
            return any(pipe.execute())

    def results(self, run_id: str, tasks: Sequence[str]) -> dict[str, Any]:
        """The results of tasks, None without; of a task that was expanded those of its children.

        `EngineError` if they are more than `MAX_RESULTS` together.
        """
        out, kept = self.run_key(run_id, "out"), self.redis
        numbers = kept.hmget(out, [f"n/{task}" for task in tasks]) if tasks else []
        counts = {
            task: int(number)
            for task, number in zip(tasks, numbers, strict=True)
            if number is not None
        }
        if counts:
            records = kept.hmget(self.run_key(run_id, "tasks"), list(counts))
            ready_at = [unpack_record(record)["ready_at"] if record else "" for record in records]
            pairs = zip(counts.items(), ready_at, strict=True)
            counts = {task: children_of(at, number) or 0 for (task, number), at in pairs}
        wanted = {
            task: [f"{task}.{i}" for i in range(counts.get(task, 0))] or [task] for task in tasks
        }
        names = [f"r/{name}" for group in wanted.values() for name in group]
        read: list[str | None] = []
        length = 0
        for at in range(0, len(names), _SLICE):
            some = kept.hmget(out, names[at : at + _SLICE])
            length += sum(len(text) for text in some if text)
            if length > MAX_RESULTS:
                raise EngineError(
                    f"the results of {', '.join(tasks)} have more than {MAX_RESULTS:,} bytes "
                    "together: return less, or write data to tables or files"
                )
            read += some
        packed = iter(read)
        found = {task: [_decoded(next(packed)) for _ in group] for task, group in wanted.items()}
        return {task: found[task] if counts.get(task) else found[task][0] for task in tasks}

    def planned_params(self, run_id: str, names: Sequence[str]) -> dict[str, str]:
        """Those of a run's params, as JSON, that its plan keeps once."""
        found = self.redis.hmget(self.run_key(run_id, "specs"), [f"/{name}" for name in names])
        return {name: text for name, text in zip(names, found, strict=True) if text is not None}

    def renew(
        self,
        worker: str,
        slots: int,
        queues: Iterable[str],
        held: Sequence[Held] = (),
        *,
        looked_ago: float | None = None,
    ) -> list[str]:
        """Renews a worker's slots and leases; one answer a task.

        `looked_ago` seconds before this call the worker held nothing but `held`: what Redis knows
        it to hold for longer is given to others. None if it may hold more.
        Answers: ``yours``, ``cancel`` (stop it), ``ended``, ``lost``, ``waiting`` (not claimed
        yet), ``unknown``.
        """
        name, listens = worker_name(worker), " ".join(queues)
        # Of a part of what it holds the script can't tell what the worker does not hold any more.
        looked = "" if looked_ago is None or len(held) > CHUNK else round(looked_ago * 1e6)
        answers: list[str] = []
        for at in range(0, max(1, len(held)), CHUNK):
            items: list[str | int] = []
            for h in held[at : at + CHUNK]:
                items += [h.run, h.task, h.try_number, h.token]
            answers += self._call("renew", name, slots, listens, looked, *items)
        return answers

    def register(
        self, kind: Kind, name: str, process: str, info: str, *, busy: int = 0, force: bool = False
    ) -> float | None:
        """Says that a worker or coordinator lives, for 15 s, and what it can do (`info`, JSON).

        `process` is an id of its process and, after a dot, of the modules that it has loaded. If
        another live process has that name: when that one was heard of last, in seconds of steady
        time; unless it is known to be dead (`force`).
        """
        answer = self._call("register", kind, worker_name(name), process, busy, info, int(force))
        return None if answer == "ok" else int(answer) / 1e6

    def unregister(self, kind: Kind, name: str, process: str) -> None:
        """The process of that name ends."""
        self._call("unregister", kind, worker_name(name), process)

    def members(self, kind: Kind) -> dict[str, Member]:
        """The workers or coordinators that are alive, by name, with what they say they can do."""
        return read_members(self, kind)

    def refusals(self, queue: str) -> list[Refusal]:
        """Which workers of a queue lately gave tasks back that their host can't run, and why."""
        return read_refusals(self, queue)

    def held_by_worker(self) -> dict[str, list[str]]:
        """Worker -> the tasks that it holds, as "run/task"."""
        held = self.redis.zrange(self.key("leases"), 0, -1)
        with self.redis.pipeline(transaction=False) as pipe:
            for member in held:
                run_id, _, task = member.partition("/")
                pipe.hget(self.run_key(run_id, "tasks"), task)
            packed = pipe.execute()
        found: dict[str, list[str]] = {}
        for member, record in zip(held, packed, strict=True):
            if record:
                found.setdefault(unpack_record(record)["worker"], []).append(member)
        return found

    def leave(self, worker: str, queues: Iterable[str]) -> None:
        """Takes a worker's slots off the queues at once, instead of when they expire."""
        self.renew(worker, 0, queues)

    def write_log(
        self,
        run: str,
        task: str,
        try_number: int,
        part: LogPart,
        retention: int,
    ) -> Literal["ok", "known", "later"]:
        """Adds to the log of a try, which is kept for so many seconds after.

        "known" if that part was added before; "later" if there is no room for it now.
        """
        answer: Literal["ok", "known", "later"] = self._call(
            "log",
            run,
            task,
            try_number,
            part.writer,
            part.position,
            part.line,
            part.byte,
            retention,
            part.lines,
        )
        return answer

    def log_end(self, run: str, task: str, try_number: int, writer: str) -> int:
        """Up to which position a log has what that writer wrote."""
        state = self.key(f"log:{run}:{task}:{try_number}:state")
        last, position = self.redis.hmget(state, "writer", "position")
        return int(position) if last == writer else 0

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
            pipe.hgetall(self.run_key(run_id, "kept"))
            replies = pipe.execute(raise_on_error=False)
        head, records, out, kept = _whole(replies)
        if replies[0] == {}:
            raise self.unknown(run_id)
        try:
            if head["state"] == "queued" or not records:
                # Not planned, maybe again: the tasks are the DAG's, as the rounds before left them.
                task = unplanned(head["state"])
                known = dict.fromkeys(task_ids(self.submitted_dag(run_id)), task)
                return parse_run(run_id, head, kept | records, out, known)
            return parse_run(run_id, head, records, out)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineError(
                f"run {run_id}: its keys in Redis are damaged, since something else wrote there "
                f"({type(error).__name__}): submit it again under another id"
            ) from error

    def why_run(self, run_id: str, seen: RunSnapshot | None = None) -> list[Reason]:
        """What keeps a run from its success: a sentence for it, and for what matters most in it.

        Of the run as it was `seen`, else as it is.
        """
        whole, micro = self.redis.time()
        return explain_run(self, seen or self.snapshot(run_id), whole + micro / 1e6)

    def why(self, run_id: str, task: str) -> str:
        """Why a task is not running, or where it runs, or how it ended; in one sentence."""
        reason, error = self.redis.hmget(self.run_key(run_id), ["reason", "error"])
        if reason == "broken":
            return f"{task} does not go on, since its run was set aside: {error}"
        return explain(read_situation(self, run_id, task))

    def runs(self, limit: int = 50) -> list[RunSummary]:
        """The newest runs, newest first."""
        return self.listing(limit, Wanted()).runs

    def listing(self, limit: int, wanted: Wanted) -> Listing:
        """The newest runs of those that are wanted; at most `LOOK`, or `limit`, are looked at."""
        found: list[str] = []
        for at, heads in self._pages(wanted, _PAGE if wanted.is_narrow else min(limit, _PAGE)):
            found += [run_id for run_id, head in heads if wanted.has(head)]
            if len(found) >= limit:
                break
            if at >= max(LOOK, limit) and heads:
                return Listing(self._summaries(found), seconds(heads[-1][1]["submitted_at"]))
        return Listing(self._summaries(found[:limit]))

    def _summaries(self, ids: Sequence[str]) -> list[RunSummary]:
        with self.redis.pipeline(transaction=False) as pipe:
            for run_id in ids:
                pipe.hgetall(self.run_key(run_id))
                pipe.scard(self.run_key(run_id, "active"))
            replies = _whole(pipe.execute(raise_on_error=False))
        found = []
        for run_id, head, active in zip(ids, replies[::2], replies[1::2], strict=True):
            # What damaged keys say is no reason to list no run.
            with contextlib.suppress(KeyError, ValueError, TypeError):
                found.append(parse_summary(run_id, head or {}, active or 0))
        return found

    def _pages(
        self, wanted: Wanted, size: int
    ) -> Iterator[tuple[int, list[tuple[str, dict[str, str]]]]]:
        """Runs submitted in the wanted time, newest first, a page at a time.

        How many were looked at, and of each that is there what `Wanted.has` asks for.
        """
        newest = "+inf" if wanted.until is None else f"({wanted.until * 1e6:.0f}"
        oldest = "-inf" if wanted.since is None else f"{wanted.since * 1e6:.0f}"
        at = 0
        while ids := self.redis.zrevrangebyscore(
            self.key("runs"), newest, oldest, start=at, num=size
        ):
            with self.redis.pipeline(transaction=False) as pipe:
                for run_id in ids:
                    pipe.hmget(self.run_key(run_id), wanted.fields)
                replies = _whole(pipe.execute(raise_on_error=False))
            at += len(ids)
            heads = [dict(zip(wanted.fields, reply or (), strict=False)) for reply in replies]
            yield at, [(i, head) for i, head in zip(ids, heads, strict=True) if head.get("dag_id")]
            if len(ids) < size:
                return

    # As `naming.Runs`

    def has(self, run_id: str) -> bool:
        """Whether Redis has the run."""
        return bool(self.redis.exists(self.run_key(run_id)))

    def beginning_with(self, prefix: str, limit: int) -> list[str]:
        """At most so many runs whose ids begin so, in lexical order."""
        found: list[str] = []
        least = f"[{prefix}"
        while len(found) < limit and (
            # No id has a character above the tilde.
            ids := self.redis.zrangebylex(self.key("names"), least, f"({prefix}~", 0, _PAGE)
        ):
            found += self.those_there(ids)
            least = f"({ids[-1]}"
        return found[:limit]

    def neighbours(self, run_ids: Sequence[str]) -> dict[str, list[str]]:
        """Of each run those before and after it in lexical order."""
        names = self.key("names")
        with self.redis.pipeline(transaction=False) as pipe:
            for run_id in run_ids:
                pipe.zrevrangebylex(names, f"({run_id}", "-", 0, 1)
                pipe.zrangebylex(names, f"({run_id}", "+", 0, 1)
            replies = pipe.execute()
        pairs = zip(run_ids, replies[::2], replies[1::2], strict=True)
        return {run_id: [*before, *after] for run_id, before, after in pairs}

    def newest(self, dag_id: str, since: float | None, until: float | None) -> str | None:
        """The run of a DAG that was submitted last in that time."""
        for _, heads in self._pages(Wanted(dag_id, since=since, until=until), _PAGE):
            for run_id, head in heads:
                if head["dag_id"] == dag_id:
                    return run_id
        return None

    def those_there(self, run_ids: Sequence[str]) -> list[str]:
        """Those of the runs that Redis has."""
        with self.redis.pipeline(transaction=False) as pipe:
            for run_id in run_ids:
                pipe.exists(self.run_key(run_id))
            is_there = pipe.execute()
        return [run_id for run_id, found in zip(run_ids, is_there, strict=True) if found]

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


def dag_hash(dag: str) -> str:
    """By which the history knows a DAG's text."""
    return hashlib.sha256(dag.encode()).hexdigest()


def _whole(replies: list[Any]) -> list[Any]:
    """Answers of a pipeline, None for what a key of a wrong type could not say."""
    for reply in replies:
        if isinstance(reply, redis.RedisError) and "WRONGTYPE" not in str(reply):
            raise reply
    return [None if isinstance(reply, redis.RedisError) else reply for reply in replies]


def _flat(fields: Mapping[str, Any]) -> list[Any]:
    """Names and values in turn."""
    return [part for pair in fields.items() for part in pair]


def _decoded(packed: str | None) -> Any:
    return None if packed is None else json.loads(packed)
