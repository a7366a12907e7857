"""What everybody reads: runs and their tasks, and who is there to run them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydag_dist.engine.members import Member, Refusal, read_members, read_refusals
from pydag_dist.engine.protocol import Kind, unpack_record
from pydag_dist.engine.snapshot import (
    Event,
    RunSnapshot,
    parse_event,
    parse_run,
    task_ids,
    unplanned,
)
from pydag_dist.engine.store import Role, unknown_run, whole_answers
from pydag_dist.errors import EngineError

_RUNS: Final = 100  # of a queue's list of those that wait


@dataclass(frozen=True)
class Queue:
    """A queue, the slots of its live workers, its messages, and runs that wait for a slot of it.

    `refusals` are of workers that gave tasks back, since their host lacks something.
    """

    name: str
    slots: int
    workers: list[str]
    messages: int
    waiting_runs: list[str]
    refusals: list[dict[str, str]]


class Reading(Role):
    """Runs, tasks and members as they are now; nothing here changes anything."""

    def run_state(self, run_id: str) -> str | None:
        """The run's state, None if Redis doesn't know the run."""
        state: str | None = self._redis.hget(self._run_key(run_id), "state")
        return state

    def run_head(self, run_id: str) -> dict[str, str]:
        """The run's hash as it is: see the table of keys."""
        head: dict[str, str] = self._redis.hgetall(self._run_key(run_id))
        if not head:
            raise unknown_run(run_id)
        return head

    def submitted_dag(self, run_id: str) -> str:
        """The DAG of a run, as JSON."""
        dag: str | None = self._redis.get(self._run_key(run_id, "dag"))
        if dag is None:
            raise unknown_run(run_id)
        return dag

    def dag_size(self, run_id: str) -> int:
        """The length of the DAG of a run in bytes; 0 if Redis does not have it."""
        return int(self._redis.strlen(self._run_key(run_id, "dag")))

    def run_params(self, run_id: str) -> tuple[dict[str, Any], str]:
        """What a run was submitted with: its params, and its logical date (ISO 8601, UTC).

        The logical date is the time of the submission if none was given.
        """
        params = self._redis.hget(self._run_key(run_id), "params")
        return json.loads(params or "{}"), self.logical_date(run_id)

    def logical_date(self, run_id: str) -> str:
        """A run's logical date (ISO 8601, UTC): the time of the submission if none was given."""
        names = ("logical_date", "submitted_at")
        logical_date, submitted_at = self._redis.hmget(self._run_key(run_id), names)
        if submitted_at is None:
            raise unknown_run(run_id)
        submitted = datetime.fromtimestamp(int(submitted_at) / 1e6, UTC)
        return logical_date or submitted.isoformat(timespec="seconds")

    def ancestors(self, run_id: str) -> list[str]:
        """The DAGs of the runs around a run, which wait for it, outermost first."""
        return (self._redis.hget(self._run_key(run_id), "ancestors") or "").split()

    def states(self, run_ids: Sequence[str]) -> list[tuple[str | None, str]]:
        """Of each run the state, None if Redis doesn't know it, and the error, empty without."""
        with self._redis.pipeline(transaction=False) as pipe:
            for run_id in run_ids:
                pipe.hmget(self._run_key(run_id), "state", "error")
            return [(state, error or "") for state, error in pipe.execute()]

    def resumed_because(self, run_id: str) -> tuple[str, list[str], list[str]]:
        """The task from which the run was resumed, if one was named; what its new DAG has changed.

        And what was marked since it ended.
        """
        names = ("from", "changed", "marked")
        from_task, changed, marked = self._redis.hmget(self._run_key(run_id), names)
        return from_task or "", (changed or "").split(), (marked or "").split()

    def snapshot(self, run_id: str) -> RunSnapshot:
        """The run and all its tasks at one moment."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._run_key(run_id))
            pipe.hgetall(self._run_key(run_id, "tasks"))
            pipe.hgetall(self._run_key(run_id, "out"))
            pipe.hgetall(self._run_key(run_id, "kept"))
            replies = pipe.execute(raise_on_error=False)
        head, records, out, kept = whole_answers(replies)
        if replies[0] == {}:
            raise unknown_run(run_id)
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

    def events(self, run_id: str, after: str = "0", block_ms: int | None = None) -> list[Event]:
        """The run's events after the one of id `after`; waits up to `block_ms` for the first.

        The stream is capped: who falls behind by thousands of events takes a snapshot.
        """
        streams = {self._run_key(run_id, "events"): after}
        reply = self._redis.xread(streams, block=block_ms)
        entries = (
            next(iter(reply.values()))[0]
            if isinstance(reply, dict) and reply
            else (reply[0][1] if reply else [])
        )
        return [parse_event(event_id, fields) for event_id, fields in entries]

    def newest_event(self, run_id: str) -> str:
        """The id of the run's newest event; "0" if it has none."""
        newest = self._redis.xrevrange(self._run_key(run_id, "events"), count=1)
        return str(newest[0][0]) if newest else "0"

    def has_event(self, run_id: str, after: str, block_ms: int) -> bool:
        """Whether the run has an event after that one; waits up to `block_ms` for it."""
        streams = {self._run_key(run_id, "events"): after}
        return bool(self._redis.xread(streams, count=1, block=block_ms))

    def members(self, kind: Kind) -> dict[str, Member]:
        """The workers or coordinators that are alive, by name, with what they say they can do."""
        return read_members(self.store, kind)

    def queues(self) -> list[Queue]:
        """Every queue that has workers, messages or runs, in lexical order."""
        members = read_members(self.store, "workers")
        # "QUEUE!needs" is no queue of its own: runs wait there for workers that can run them.
        places = sorted(self._redis.smembers(self._key("queues")))
        names = sorted({place.partition("!")[0] for place in places})
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.llen(self._key(f"q:{name}"))
            for place in places:
                pipe.zrange(self._key(f"fair:{place}"), 0, _RUNS - 1)
            replies = pipe.execute()
        messages, waiting = replies[: len(names)], replies[len(names) :]
        found = []
        for name, length in zip(names, messages, strict=True):
            serving = [m for m in members.values() if name in m.names("queues")]
            runs = [
                member.partition("/")[2]
                for place, some in zip(places, waiting, strict=True)
                if place.partition("!")[0] == name
                for member in some
            ]
            found.append(
                Queue(
                    name,
                    sum(int(m.info.get("slots", 0)) for m in serving),
                    [m.name for m in serving],
                    length,
                    list(dict.fromkeys(runs)),
                    [asdict(refusal) for refusal in self.refusals(name)],
                )
            )
        return found

    def refusals(self, queue: str) -> list[Refusal]:
        """Which workers of a queue lately gave tasks back that their host can't run, and why."""
        return read_refusals(self.store, queue)

    def held_by_worker(self) -> dict[str, list[str]]:
        """Worker -> the tasks that it holds, as "run/task"."""
        held = self._redis.zrange(self._key("leases"), 0, -1)
        with self._redis.pipeline(transaction=False) as pipe:
            for member in held:
                run_id, _, task = member.partition("/")
                pipe.hget(self._run_key(run_id, "tasks"), task)
            packed = pipe.execute()
        found: dict[str, list[str]] = {}
        for member, record in zip(held, packed, strict=True):
            if record:
                found.setdefault(unpack_record(record)["worker"], []).append(member)
        return found
