"""Published DAGs: who publishes them and pauses them, and when they are due."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pydag_dist.dag.ids import check_id, worker_name
from pydag_dist.engine.published import (
    EPOCH,
    Move,
    PublishedDag,
    Version,
    from_micro,
    not_published,
    parse_dag,
    scheduled_run_id,
    to_micro,
)
from pydag_dist.engine.store import Role
from pydag_dist.engine.values import Held
from pydag_dist.errors import EngineError

_PAGE: Final = 500  # DAGs that are read at once
_TOLD: Final = 60  # seconds that the history's answer is kept for tasks that wait for a run

Answer = Literal["ok", "same", "again", "unknown"]
Fired = Literal["made", "there", "again", "early", "paused", "held"]
StartedChild = Literal["made", "there", "unknown", "lost", "over", "within", "deep"]


@dataclass(frozen=True)
class Awaited:
    """The run of a DAG for a logical date: one that has succeeded, else the newest; None if none.

    `is_told`: the history has been asked.
    """

    is_published: bool
    is_paused: bool
    is_told: bool
    run: str | None = None
    state: str = ""


class Publishing(Role):
    """The published DAGs, and what starts their runs."""

    # Reading

    def now(self) -> datetime:
        """The server's time, by which DAGs are due."""
        whole, micro = self._redis.time()
        return EPOCH + timedelta(seconds=whole, microseconds=micro)

    def dag(self, dag_id: str) -> PublishedDag:
        """The DAG, published or not."""
        check_id("DAG", dag_id)
        return parse_dag(dag_id, self._redis.hgetall(self._dag_key(dag_id)))

    def names(self) -> list[str]:
        """The published DAGs, in lexical order."""
        names: list[str] = self._redis.zrange(self._key("dags"), 0, -1)
        return names

    def dags(self, names: Sequence[str] | None = None) -> list[PublishedDag]:
        """All published DAGs, or those of these names that are."""
        if names is None:
            names = self.names()
        found = []
        for at in range(0, len(names), _PAGE):
            some = names[at : at + _PAGE]
            with self._redis.pipeline(transaction=False) as pipe:
                for name in some:
                    pipe.hgetall(self._dag_key(name))
                found += [
                    parse_dag(name, head) for name, head in zip(some, pipe.execute(), strict=True)
                ]
        return [dag for dag in found if dag.is_published]

    def not_published(self, dag_id: str) -> EngineError:
        """The error that says so, and which one may be meant."""
        return not_published(dag_id, self.names())

    def not_known(self, names: Sequence[str]) -> list[str]:
        """Those of the DAGs that Redis may have lost."""
        found = []
        for at in range(0, len(names), _PAGE):
            some = names[at : at + _PAGE]
            with self._redis.pipeline(transaction=False) as pipe:
                for name in some:
                    pipe.hexists(self._dag_key(name), "known")
                found += [n for n, known in zip(some, pipe.execute(), strict=True) if not known]
        return found

    def set_known(self, names: Sequence[str]) -> None:
        """Note of DAGs that the history has nothing of them which Redis could have lost."""
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hset(self._dag_key(name), "known", 1)
            pipe.execute()

    def due(self, now: datetime, limit: int) -> list[str]:
        """At most so many DAGs that are due, the longest due first."""
        names: list[str] = self._redis.zrange(
            self._key("schedules"), "-inf", to_micro(now), byscore=True, offset=0, num=limit
        )
        return names

    def next_due(self) -> datetime | None:
        """When the first of all DAGs is due; None if none ever is."""
        first = self._redis.zrange(self._key("schedules"), 0, 0, withscores=True)
        return from_micro(f"{first[0][1]:.0f}") if first else None

    def text(self, dag_id: str) -> str | None:
        """The newest version of a DAG as JSON; None if it is not published."""
        return self._redis.hget(self._dag_key(dag_id, "texts"), str(self.dag(dag_id).version))  # type: ignore[no-any-return]

    def owners(self, dags: Sequence[PublishedDag]) -> dict[str, str]:
        """Who owns each of these DAGs, as its newest version says; "" if it does not."""
        found = {}
        for at in range(0, len(dags), _PAGE):
            some = dags[at : at + _PAGE]
            with self._redis.pipeline(transaction=False) as pipe:
                for dag in some:
                    pipe.hget(self._dag_key(dag.dag_id, "texts"), str(dag.version))
                for dag, text in zip(some, pipe.execute(), strict=True):
                    found[dag.dag_id] = str(json.loads(text or "{}").get("owner", ""))
        return found

    def problems(self) -> dict[str, str]:
        """File of a folder that a coordinator publishes -> why it can't be."""
        problems: dict[str, str] = self._redis.hgetall(self._key("dag_problems"))
        return problems

    def run_fields(self, dag_id: str) -> dict[str, str]:
        """The fields of a run's hash with which the runs of a published DAG begin."""
        fields: dict[str, str] = self._redis.hgetall(self._dag_key(dag_id, "run"))
        return fields

    def versions(self, dag_id: str) -> list[Version]:
        """The newest versions of a published DAG, the newest first; the history has all."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._dag_key(dag_id, "versions"))
            pipe.hgetall(self._dag_key(dag_id, "texts"))
            heads, texts = pipe.execute()
        found = []
        for number in sorted(map(int, heads), reverse=True):
            at, hash_, by = heads[str(number)].split(" ", 2)
            found.append(Version(number, from_micro(at), by, hash_, texts.get(str(number), "")))
        return found

    # What tasks wait for

    def awaited(self, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Awaited]:
        """Of DAGs and logical dates the runs, as far as coordinators have told by now.

        They are asked to look again.
        """
        names = [f"{dag_id}/{date}" for dag_id, date in wanted]
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.sadd(self._key("awaited"), *names)
            pipe.mget([self._key(f"awaited:{name}") for name in names])
            for dag_id, _ in wanted:
                pipe.hmget(self._dag_key(dag_id), "published_at", "paused_at")
            _, told, *heads = pipe.execute()
        found = [text.split() if text else [] for text in told]
        with self._redis.pipeline(transaction=False) as pipe:
            for run_id, *_ in filter(None, found):
                pipe.hget(self._run_key(run_id), "state")
            states = iter(pipe.execute())
        return {
            want: Awaited(
                bool(published),
                bool(paused),
                text is not None,
                *((run[0], next(states) or run[1]) if run else ()),
            )
            for want, text, run, (published, paused) in zip(wanted, told, found, heads, strict=True)
        }

    def asked_for(self, limit: int) -> list[tuple[str, str]]:
        """Take at most so many of the DAGs and logical dates that tasks ask for."""
        names: list[str] = self._redis.spop(self._key("awaited"), limit)
        return [(dag_id, date) for dag_id, _, date in (name.partition("/") for name in names)]

    def tell_awaited(self, found: Iterable[tuple[str, str, str, str]]) -> None:
        """Answer these: DAG, logical date, run and state, both empty if there is none."""
        with self._redis.pipeline(transaction=False) as pipe:
            for dag_id, date, run_id, state in found:
                told = f"{run_id} {state}".strip()
                pipe.set(self._key(f"awaited:{dag_id}/{date}"), told, ex=_TOLD)
            pipe.execute()

    # Changing

    def publish(
        self,
        seen: PublishedDag,
        text: str,
        head: Mapping[str, str | float],
        move: Move,
        *,
        schedule: Mapping[str, Any] | None,
        max_active: int,
        source: str,
        by: str,
    ) -> tuple[Literal["published", "same", "again"], int]:
        """Make a text the newest version of a DAG, and its number; `again` if it was changed.

        `head` are the fields of a run's hash with which its runs begin.
        """
        fields = [part for pair in head.items() for part in pair]
        packed = "" if schedule is None else json.dumps(schedule)
        answer, version = self._call(
            "publish",
            seen.dag_id,
            *seen.seen(),
            text,
            packed,
            max_active,
            source,
            worker_name(by),
            *move.arguments(),
            *fields,
        )
        return answer, int(version)

    def pause(self, dag_id: str, by: str) -> Answer:
        """From now on the DAG's schedule starts nothing."""
        return self._call("pause", check_id("DAG", dag_id), worker_name(by))  # type: ignore[no-any-return]

    def unpause(self, seen: PublishedDag, by: str, move: Move) -> Answer:
        """The DAG's schedule goes on."""
        by = worker_name(by)
        return self._call("unpause", seen.dag_id, *seen.seen(), by, *move.arguments())  # type: ignore[no-any-return]

    def unpublish(self, seen: PublishedDag, by: str, move: Move) -> Answer:
        """The DAG is published no longer; its runs go on."""
        by = worker_name(by)
        return self._call("unpublish", seen.dag_id, *seen.seen(), by, *move.missed_arguments())  # type: ignore[no-any-return]

    def fire(self, seen: PublishedDag, at: datetime, move: Move) -> Fired:
        """Start the run of a due time, if the DAG still is what was seen of it."""
        run_id, date = scheduled_run_id(seen.dag_id, at), at.isoformat()
        return self._call(  # type: ignore[no-any-return]
            "fire", seen.dag_id, *seen.seen(), run_id, to_micro(at), date, *move.arguments()
        )

    def start(
        self, dag_id: str, run_id: str, params: Mapping[str, Any], logical_date: str, by: str
    ) -> bool:
        """Start a run of the newest version by hand; False if that run was there already.

        `EngineError` if the DAG is not published.
        """
        answer = self._call(
            "start",
            dag_id,
            check_id("run id", run_id),
            json.dumps(params),
            logical_date,
            worker_name(by),
        )
        if answer == "unknown":
            raise self.not_published(dag_id)
        return bool(answer == "made")

    def start_child(
        self, dag_id: str, run_id: str, params: Mapping[str, Any], logical_date: str, parent: Held
    ) -> StartedChild:
        """Start a run of the newest version for a try that waits for it.

        Answers: ``made``, or ``there``; ``unknown``: the DAG is not published; ``lost``: Redis may
        have lost it, or the run of the try; ``over``: the try is not under way; ``within`` a run of
        that DAG; too ``deep`` in a chain of runs.
        """
        return self._call(  # type: ignore[no-any-return]
            "start_child",
            check_id("DAG", dag_id),
            run_id,
            json.dumps(params),
            logical_date,
            parent.run,
            parent.task,
            parent.try_number,
        )

    def restore(
        self, dag_id: str, text: str, row: Mapping[str, str | int], head: Mapping[str, str]
    ) -> bool:
        """Give back a DAG that Redis has lost; False if it is there."""
        fields = [part for pair in head.items() for part in pair]
        return bool(self._call("restore_dag", dag_id, text, json.dumps([row]), *fields))

    def _dag_key(self, dag_id: str, part: str = "") -> str:
        return self._key(f"dag:{dag_id}" + (f":{part}" if part else ""))
