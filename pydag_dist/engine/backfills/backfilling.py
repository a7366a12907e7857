"""Backfills: who begins, pauses and cancels them, and how coordinators bring them on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from pydag_dist.dag.ids import check_id, worker_name
from pydag_dist.engine.backfills.backfill import Backfill, parse_backfill
from pydag_dist.engine.protocol import Again, BackfillState
from pydag_dist.engine.published import PublishedDag, to_micro
from pydag_dist.engine.store import Role, whole_answers

_PAGE: Final = 500  # backfills that are read at once

Begun = Literal["made", "there", "again", "unknown", "full"]
Advanced = Literal["made", "there", "left", "held", "again", "unknown"] | BackfillState
Changed = Literal["ok", "same", "again", "unknown", "unpublished"] | BackfillState


class Backfilling(Role):
    """The backfills, and what makes their runs."""

    # Reading

    def backfill(self, backfill_id: str) -> Backfill | None:
        """The backfill; None if Redis does not have it."""
        return next(iter(self.backfills([check_id("backfill", backfill_id)])), None)

    def ids(self) -> list[str]:
        """The backfills that Redis has, the newest first; also some that it has no longer."""
        ids: list[str] = self._redis.zrevrange(self._key("backfills"), 0, -1)
        return ids

    def backfills(self, ids: Sequence[str] | None = None) -> list[Backfill]:
        """All backfills, the newest first, or those of these ids that are there."""
        ids = self.ids() if ids is None else ids
        found = []
        for at in range(0, len(ids), _PAGE):
            some = ids[at : at + _PAGE]
            with self._redis.pipeline(transaction=False) as pipe:
                for backfill_id in some:
                    pipe.hgetall(self._backfill_key(backfill_id))
                    pipe.scard(self._backfill_key(backfill_id, "active"))
                replies = whole_answers(pipe.execute(raise_on_error=False))
            for backfill_id, head, active in zip(some, replies[::2], replies[1::2], strict=True):
                # What damaged keys say is no reason to list none.
                with contextlib.suppress(KeyError, ValueError, TypeError):
                    if head:
                        found.append(parse_backfill(backfill_id, head, active or 0))
        return found

    def open(self, now: datetime, limit: int) -> list[str]:
        """At most so many backfills that coordinators have to look at now."""
        ids: list[str] = self._redis.zrange(
            self._key("backfills:open"), "-inf", to_micro(now), byscore=True, offset=0, num=limit
        )
        return ids

    def active(self, backfill_id: str) -> list[str]:
        """Its runs that have not ended."""
        return sorted(self._redis.smembers(self._backfill_key(backfill_id, "active")))

    def fields(self, backfill_id: str) -> dict[str, str]:
        """Its hash as it is: see the table of keys."""
        head: dict[str, str] = self._redis.hgetall(self._backfill_key(backfill_id))
        return head

    # Changing

    def begin(
        self,
        backfill_id: str,
        seen: PublishedDag,
        due: Sequence[datetime],
        *,
        newest_first: bool,
        again: Again,
        weight: float,
        max_active: int,
        by: str,
    ) -> Begun:
        """Begin a backfill of these due times, which are those of the DAG's schedule as seen."""
        return self._call(  # type: ignore[no-any-return]
            "backfill",
            check_id("backfill", backfill_id),
            seen.dag_id,
            *seen.seen(),
            json.dumps(seen.schedule),
            to_micro(due[0]),
            to_micro(due[-1]),
            len(due),
            int(newest_first),
            again,
            weight,
            max_active,
            worker_name(by),
        )

    def advance(
        self, seen: Backfill, version: int, left: int, at: datetime | None, next_: datetime | None
    ) -> Advanced:
        """Leave so many due times out, and make the run of the one `at` which follows them.

        None: no run is made. `next_` is the due time after all of these.
        """
        run, date = (seen.run_id(at), at.isoformat()) if at else ("", "")
        return self._call(  # type: ignore[no-any-return]
            "advance_backfill",
            seen.backfill_id,
            to_micro(seen.next),
            version,
            left,
            run,
            date,
            to_micro(next_),
        )

    def look_after(self, seen: Backfill, version: int) -> Advanced:
        """End it if nothing is left to do; ``held`` if it has to wait for its runs."""
        return self.advance(seen, version, 0, None, seen.next)

    def pause(self, backfill_id: str, by: str, why: str = "") -> Changed:
        """Make no more runs for now; `why` if nobody wants that, but it can't go on."""
        who = worker_name(by) if by else ""
        return self._call("pause_backfill", check_id("backfill", backfill_id), who, why)  # type: ignore[no-any-return]

    def unpause(
        self,
        seen: Backfill,
        dag: PublishedDag,
        next_: datetime | None,
        total: int,
        by: str,
    ) -> Changed:
        """Go on by the DAG's schedule, with the due time `next_`: it has `total` of them."""
        return self._call(  # type: ignore[no-any-return]
            "unpause_backfill",
            seen.backfill_id,
            to_micro(seen.next),
            dag.version,
            json.dumps(dag.schedule),
            to_micro(next_),
            total,
            worker_name(by),
        )

    def cancel(self, backfill_id: str, by: str) -> Changed:
        """Make no more runs; those that go on are still to be cancelled."""
        return self._call("cancel_backfill", check_id("backfill", backfill_id), worker_name(by))  # type: ignore[no-any-return]

    def restore(
        self, backfill_id: str, row: Mapping[str, str | int], active: Iterable[str]
    ) -> bool:
        """Give back a backfill that Redis has lost; False if it is there."""
        arguments = (json.dumps([row]), " ".join(active))
        return bool(self._call("restore_backfill", backfill_id, *arguments))

    def _backfill_key(self, backfill_id: str, part: str = "") -> str:
        return self._key(f"backfill:{backfill_id}" + (f":{part}" if part else ""))
