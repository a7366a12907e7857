"""What workers do: claim tries, end them or give them back, renew leases, and write logs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydag_dist.dag.ids import worker_name
from pydag_dist.engine.protocol import (
    OUT,
    LogAdded,
    NotClaimed,
    Order,
    Outcome,
    Refused,
    Released,
    Renewed,
    RunPart,
    unpack_deferral,
    unpack_record,
)
from pydag_dist.engine.snapshot import children_of
from pydag_dist.engine.store import Role
from pydag_dist.engine.values import CHUNK, Claim, Deferral, Due, End, Held, LogPart, Next
from pydag_dist.errors import EngineError, UnknownRun

MAX_RESULTS = 10_000_000  # bytes of results that one task is given
_SLICE = 200  # results that are read at once
_HELD = ("running", "cancelling")  # the states of a try whose params are rendered

MAX_NEED, MAX_REASON = 100, 500  # characters
_NOT_IN_NEEDS = re.compile(r"[^A-Za-z0-9_.:-]")


class Working(Role):
    """A try's life with its worker."""

    def claim(
        self, run: str, task: str, try_number: int, push: str, worker: str, *, process: int
    ) -> Claim | NotClaimed:
        """What to do, if this message is the first of its try; else why to ignore it.

        The worker's process of that id, which runs nothing else meanwhile, may ask again.
        """
        name = worker_name(worker)
        order: Order | Literal["no"]
        order, value, *settled = self._call("claim", run, task, try_number, push, name, process)
        if order == "no":
            why: NotClaimed = value
            return why
        return Claim(order, json.loads(value), *map(int, settled))

    def release(
        self,
        held: Held,
        outcome: Outcome,
        result: str = "",
        error: str = "",
        *,
        skips: Iterable[str] = (),
        expand: Mapping[str, int] | None = None,
    ) -> Released:
        """Records how a try ended and releases what became ready: the chord callback.

        What it is given is that of an `End`.
        Answers ``ok``, or what forbade it: ``ended`` (again),
        ``lost`` (another claim holds it), ``waiting`` (not claimed), ``unknown``, ``schema``.
        """
        return self.end(End(held, outcome, result, error, skips, expand or {}))

    def defer(self, held: Held, deferral: Deferral) -> Released:
        """Gives a try up until it is polled; answers as `release` does.

        If it is cancelling, a worker is asked to cancel its job.
        """
        return self.end(End(held, "deferred", deferral=deferral))

    def end(self, end: End) -> Released:
        """As `release` or `defer`."""
        answer: Released
        *told, _lasted, _ago = end.packed()
        answer, more = self._call("release", *told)
        self._finish(end.held.run, more)
        return answer

    def run_on(
        self, ends: Sequence[End], *, queue: str, worker: str, process: int
    ) -> tuple[list[Released], list[Next]]:
        """Releases tries, as `release` does, and hands the process the next ones of the queue.

        That is for the worker's process of that id, which has run these tries one after the other,
        and nothing else that it was handed before. Asked again by it, answers the same. Nothing is
        handed after an end that may have left something behind.
        """
        taker = (queue, worker_name(worker), process)
        flat = self._call("run_on", *taker, *_packed(ends))
        at = 2 * len(ends)
        return self._released(ends, flat[:at]), [
            Next(
                Held(run, task, int(number), token),
                Claim(order, json.loads(spec), int(settled)),
                int(pushes),
                dag,
            )
            for run, task, number, token, pushes, dag, order, spec, settled in zip(
                *[iter(flat[at:])] * 9, strict=True
            )
        ]

    def hand_in(
        self, ends: Sequence[End], worker: str, *, process: int, kept: Held | None = None
    ) -> list[Released]:
        """Releases tries likewise; the process takes no more, or is dead.

        It still runs `kept`, if that is given; what it was handed else, it has not begun.
        """
        running = (kept.run, kept.task) if kept else ("", "")
        flat = self._call("hand_in", worker_name(worker), process, *running, *_packed(ends))
        return self._released(ends, flat)

    def _released(self, ends: Sequence[End], flat: Sequence[Any]) -> list[Released]:
        left = {end.held.run for end, more in zip(ends, flat[1::2], strict=True) if more}
        for run in left:
            self._finish(run, 1)
        return list(flat[::2])

    def refuse(self, held: Sequence[Held], worker: str, need: str, reason: str) -> list[Refused]:
        """Gives tries back that `worker` can't run, for a reason of its host; one answer each.

        `need` is what the host lacks, as "kind:name": tasks that need the same go to other workers
        for a while. Empty, if only this process of the worker can't. Answers: ``ok``, or what the
        try is instead.
        """
        items: list[str | int] = []
        for h in held:
            items += [h.run, h.task, h.try_number, h.token]
        need = _NOT_IN_NEEDS.sub("-", need)[:MAX_NEED]
        line = " ".join(reason.split())[:MAX_REASON]
        answers: list[Refused] = self._call("refuse", worker_name(worker), need, line, *items)
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
        kept = self._redis.hget(self._run_key(run, "out"), OUT["deferral"] + task)
        return unpack_deferral(kept)[1]

    def has_work(self, queue: str) -> bool:
        """Whether anything waits for a slot of the queue: a message, a ready task, a due poll."""
        keys = [self._key(f"{kind}:{queue}") for kind in ("q", "fair", "due")]
        return bool(self._redis.exists(*keys))

    def results(self, held: Held, tasks: Sequence[str]) -> dict[str, Any]:
        """The results of tasks of its run that a try asks for, None without.

        Of a task that was expanded they are those of its children. `UnknownRun` if by what Redis
        knows nobody holds the try: it may have lost the results with it. `EngineError` if they are
        more than `MAX_RESULTS` together.
        """
        return self._results(held.run, tasks, held)

    def results_of(self, run_id: str, tasks: Sequence[str]) -> dict[str, Any]:
        """Likewise, of a run that has succeeded; `UnknownRun` if Redis has lost that."""
        return self._results(run_id, tasks, None)

    def planned_params(self, run_id: str, names: Sequence[str]) -> dict[str, str]:
        """Those of a run's params, as JSON, that its plan keeps once; `UnknownRun` without them."""
        found = self._redis.hmget(self._run_key(run_id, "specs"), [f"/{name}" for name in names])
        if None in found:
            raise UnknownRun(f"Redis has lost the plan of run {run_id}")
        return dict(zip(names, found, strict=True))

    def _results(self, run_id: str, tasks: Sequence[str], held: Held | None) -> dict[str, Any]:
        numbers = self._read(run_id, "out", [OUT["number"] + task for task in tasks], held)
        counts = {
            task: int(number)
            for task, number in zip(tasks, numbers, strict=True)
            if number is not None
        }
        if counts:
            records = self._read(run_id, "tasks", list(counts), held)
            ready_at = [unpack_record(record)["ready_at"] if record else "" for record in records]
            pairs = zip(counts.items(), ready_at, strict=True)
            counts = {task: children_of(at, number) or 0 for (task, number), at in pairs}
        wanted = {
            task: [f"{task}.{i}" for i in range(counts.get(task, 0))] or [task] for task in tasks
        }
        names = [OUT["result"] + name for group in wanted.values() for name in group]
        read: list[str | None] = []
        length = 0
        for at in range(0, len(names), _SLICE):
            texts = self._read(run_id, "out", names[at : at + _SLICE], held)
            length += sum(len(text) for text in texts if text)
            if length > MAX_RESULTS:
                raise EngineError(
                    f"the results of {', '.join(tasks)} have more than {MAX_RESULTS:,} bytes "
                    "together: return less, or write data to tables or files"
                )
            read += texts
        packed = iter(read)
        found = {task: [_decoded(next(packed)) for _ in group] for task, group in wanted.items()}
        return {task: found[task] if counts.get(task) else found[task][0] for task in tasks}

    def _read(
        self, run_id: str, part: RunPart, fields: Sequence[str], held: Held | None
    ) -> list[str | None]:
        """Fields of a part of a run, as long as the try is held, or the run has succeeded."""
        if not fields:
            return []
        with self._redis.pipeline() as pipe:
            if held:
                pipe.hget(self._run_key(run_id, "tasks"), held.task)
            else:
                pipe.hget(self._run_key(run_id), "state")
            pipe.hmget(self._run_key(run_id, part), fields)
            known, found = pipe.execute()
        if not (_is_held(known, held) if held else known == "success"):
            raise UnknownRun(f"Redis has lost what it knew of run {run_id}")
        values: list[str | None] = found
        return values

    def renew(
        self,
        worker: str,
        slots: int,
        queues: Iterable[str],
        held: Sequence[Held] = (),
        *,
        looked_ago: float | None = None,
        processes: Iterable[int] = (),
    ) -> list[Renewed]:
        """Renews a worker's slots and leases; one answer a task.

        `processes` of the worker are at work: what they have gone on with they still hold.

        `looked_ago` seconds before this call the worker held nothing but `held`: what Redis knows
        it to hold for longer is given to others. None if it may hold more.
        Answers: ``yours``, ``cancel`` (stop it), ``ended``, ``lost``, ``waiting`` (not claimed
        yet), ``unknown``.
        """
        name, listens = worker_name(worker), " ".join(queues)
        busy = " ".join(map(str, processes))
        # Of a part of what it holds the script can't tell what the worker does not hold any more.
        looked = "" if looked_ago is None or len(held) > CHUNK else round(looked_ago * 1e6)
        answers: list[Renewed] = []
        for at in range(0, max(1, len(held)), CHUNK):
            items: list[str | int] = []
            for h in held[at : at + CHUNK]:
                items += [h.run, h.task, h.try_number, h.token]
            answers += self._call("renew", name, slots, listens, looked, busy, *items)
        return answers

    def leave(self, worker: str, queues: Iterable[str]) -> None:
        """Takes a worker's slots off the queues at once, instead of when they expire."""
        self.renew(worker, 0, queues)

    def write_logs(self, parts: Sequence[tuple[Held, LogPart]], retention: int) -> list[LogAdded]:
        """Adds to the logs of tries, which are kept for so many seconds after; one answer each.

        "known" if that part was added before; "later" if there is no room for it now; "damaged" if
        something else is where the log should be.
        """
        items: list[str | int] = []
        for held, part in parts:
            items += [held.run, held.task, held.try_number, *vars(part).values()]
        answers: list[LogAdded] = self._call("log", retention, *items)
        return answers

    def write_log(self, held: Held, part: LogPart, retention: int) -> LogAdded:
        """As `write_logs` of one part."""
        (answer,) = self.write_logs([(held, part)], retention)
        return answer

    def log_end(self, run: str, task: str, try_number: int, writer: str) -> int:
        """Up to which position a log has what that writer wrote."""
        state = self._key(f"log:{run}:{task}:{try_number}:state")
        last, position = self._redis.hmget(state, "writer", "position")
        return int(position) if last == writer else 0


def _packed(ends: Iterable[End]) -> list[str | int]:
    return [value for end in ends for value in end.packed()]


def _is_held(packed: str | None, held: Held) -> bool:
    record = unpack_record(packed or "")
    return record.get("token") == held.token and record["state"] in _HELD


def _decoded(packed: str | None) -> Any:
    return None if packed is None else json.loads(packed)
