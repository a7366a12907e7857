"""Published DAGs: who publishes them and pauses them, and when they are due."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from pydag_dist.errors import EngineError

_PAGE: Final = 500  # DAGs that are read at once

Answer = Literal["ok", "same", "again", "unknown"]
Fired = Literal["made", "there", "again", "early", "paused", "held"]


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

    def restore(
        self, dag_id: str, text: str, row: Mapping[str, str | int], head: Mapping[str, str]
    ) -> bool:
        """Give back a DAG that Redis has lost; False if it is there."""
        fields = [part for pair in head.items() for part in pair]
        return bool(self._call("restore_dag", dag_id, text, json.dumps([row]), *fields))

    def _dag_key(self, dag_id: str, part: str = "") -> str:
        return self._key(f"dag:{dag_id}" + (f":{part}" if part else ""))
