"""Finding runs: which a list is to have, and what the indexes of all runs know."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydag_dist.engine.head import RunSummary, parse_summary, seconds
from pydag_dist.engine.store import Role, whole_answers

MAX_SCANNED: Final = 20_000  # runs that are looked at for one list
_PAGE = 500  # runs that are read at once


@dataclass(frozen=True)
class RunFilter:
    """What runs are looked for; what is empty is not asked. Times are epoch seconds.

    `since` and `until` are about the submission; a run must have one of the `states`, all `tags`,
    and have been submitted with all `params`. Its logical date, which is kept in UTC, must be from
    the one to the other `logical_date`, both as far as they say. `backfill` is the one that it must
    belong to, `run_types` how it may have been started, `version` of which version of its DAG it
    must be. `text` is in the run's id, in small letters or capitals. It comes after `before` in a
    list, which is by (submission in µs, id), the newest first.
    """

    dag_id: str = ""
    states: Collection[str] = ()
    since: float | None = None
    until: float | None = None
    tags: Collection[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    logical_date: tuple[str, str] | None = None
    backfill: str = ""
    text: str = ""
    before: tuple[int, str] | None = None
    run_types: Collection[str] = ()
    version: str = ""

    @property
    def is_narrow(self) -> bool:
        """Whether it is not every run, from some place on."""
        return self != RunFilter(before=self.before)

    @property
    def fields(self) -> tuple[str, ...]:
        """What `matches` has to know of a run's hash, and no more: params are long."""
        more = ("tags",) * bool(self.tags) + ("params",) * bool(self.params)
        more += ("logical_date",) * bool(self.logical_date) + ("backfill",) * bool(self.backfill)
        more += ("run_type",) * bool(self.run_types) + ("version",) * bool(self.version)
        return ("dag_id", "state", "submitted_at", *more)

    def matches(self, run_id: str, head: Mapping[str, str | None]) -> bool:
        """Whether a run is wanted whose hash has these fields."""
        if self.text.lower() not in run_id.lower():
            return False
        if self.before and (int(head.get("submitted_at") or 0), run_id) >= self.before:
            return False
        if self.dag_id and head.get("dag_id") != self.dag_id:
            return False
        if self.states and head.get("state") not in self.states:
            return False
        at = seconds(head.get("submitted_at")) or 0.0
        if (self.since is not None and at < self.since) or (
            self.until is not None and at >= self.until
        ):
            return False
        return self.matches_details(head)

    def matches_details(self, head: Mapping[str, str | None]) -> bool:
        """Likewise, as far as what not all runs have goes, such as a backfill or params."""
        if self.backfill and head.get("backfill") != self.backfill:
            return False
        if self.run_types and head.get("run_type") not in self.run_types:
            return False
        if self.version and head.get("version") != self.version:
            return False
        if self.logical_date:
            first, last = self.logical_date
            if not first <= (head.get("logical_date") or "")[: len(first)] <= last:
                return False
        if not set(self.tags) <= set(json.loads(head.get("tags") or "[]")):
            return False
        given = json.loads(head.get("params") or "{}") if self.params else {}
        return all(
            name in given and (given[name] == value or str(given[name]) == str(value))
            for name, value in self.params.items()
        )


@dataclass(frozen=True)
class Listing:
    """The newest runs first. `looked_back_to`: there may be more, submitted before that time."""

    runs: list[RunSummary]
    looked_back_to: float | None = None


_ALL: Final = RunFilter()


class RunIndex(Role):
    """The runs that Redis has, by when they were submitted and by how their ids begin."""

    def listing(self, limit: int = 50, wanted: RunFilter = _ALL) -> Listing:
        """The newest runs that are wanted.

        At most `MAX_SCANNED`, or `limit` if that is more, are looked at.
        """
        found: list[str] = []
        for at, heads in self._pages(wanted, _PAGE if wanted.is_narrow else min(limit, _PAGE)):
            found += [run_id for run_id, head in heads if wanted.matches(run_id, head)]
            if len(found) >= limit:
                break
            if at >= max(MAX_SCANNED, limit) and heads:
                return Listing(self._summaries(found), seconds(heads[-1][1]["submitted_at"]))
        return Listing(self._summaries(found[:limit]))

    def has(self, run_id: str) -> bool:
        """Whether Redis has the run."""
        return bool(self._redis.exists(self._run_key(run_id)))

    def with_prefix(self, prefix: str, limit: int) -> list[str]:
        """At most so many runs whose ids begin so, in lexical order."""
        found: list[str] = []
        least = f"[{prefix}"
        while len(found) < limit and (
            # No id has a character above the tilde.
            ids := self._redis.zrangebylex(self._key("names"), least, f"({prefix}~", 0, _PAGE)
        ):
            found += self.existing(ids)
            least = f"({ids[-1]}"
        return found[:limit]

    def neighbours(self, run_ids: Sequence[str]) -> dict[str, list[str]]:
        """Of each run those before and after it in lexical order."""
        names = self._key("names")
        with self._redis.pipeline(transaction=False) as pipe:
            for run_id in run_ids:
                pipe.zrevrangebylex(names, f"({run_id}", "-", 0, 1)
                pipe.zrangebylex(names, f"({run_id}", "+", 0, 1)
            replies = pipe.execute()
        pairs = zip(run_ids, replies[::2], replies[1::2], strict=True)
        return {run_id: [*before, *after] for run_id, before, after in pairs}

    def newest(self, dag_id: str, since: float | None, until: float | None) -> str | None:
        """The run of a DAG that was submitted last in that time."""
        for _, heads in self._pages(RunFilter(dag_id, since=since, until=until), _PAGE):
            for run_id, head in heads:
                if head["dag_id"] == dag_id:
                    return run_id
        return None

    def states(self, run_ids: Sequence[str]) -> dict[str, str]:
        """The states of those of the runs that Redis has."""
        with self._redis.pipeline(transaction=False) as pipe:
            for run_id in run_ids:
                pipe.hget(self._run_key(run_id), "state")
            replies = whole_answers(pipe.execute(raise_on_error=False))
        return {run_id: state for run_id, state in zip(run_ids, replies, strict=True) if state}

    def existing(self, run_ids: Sequence[str]) -> list[str]:
        """Those of the runs that Redis has."""
        with self._redis.pipeline(transaction=False) as pipe:
            for run_id in run_ids:
                pipe.exists(self._run_key(run_id))
            is_there = pipe.execute()
        return [run_id for run_id, found in zip(run_ids, is_there, strict=True) if found]

    def _summaries(self, ids: Sequence[str]) -> list[RunSummary]:
        with self._redis.pipeline(transaction=False) as pipe:
            for run_id in ids:
                pipe.hgetall(self._run_key(run_id))
                pipe.scard(self._run_key(run_id, "active"))
            replies = whole_answers(pipe.execute(raise_on_error=False))
        found = []
        for run_id, head, active in zip(ids, replies[::2], replies[1::2], strict=True):
            # What damaged keys say is no reason to list no run.
            with contextlib.suppress(KeyError, ValueError, TypeError):
                found.append(parse_summary(run_id, head or {}, active or 0))
        return found

    def _pages(
        self, wanted: RunFilter, size: int
    ) -> Iterator[tuple[int, list[tuple[str, dict[str, str]]]]]:
        """Runs submitted in the wanted time, newest first, a page at a time.

        How many were looked at, and of each that is there what `RunFilter.has` asks for.
        """
        newest = "+inf" if wanted.until is None else f"({wanted.until * 1e6:.0f}"
        if wanted.before and (wanted.until is None or wanted.before[0] < wanted.until * 1e6):
            newest = str(wanted.before[0])
        oldest = "-inf" if wanted.since is None else f"{wanted.since * 1e6:.0f}"
        at = 0
        while ids := self._redis.zrevrangebyscore(
            self._key("runs"), newest, oldest, start=at, num=size
        ):
            with self._redis.pipeline(transaction=False) as pipe:
                for run_id in ids:
                    pipe.hmget(self._run_key(run_id), wanted.fields)
                replies = whole_answers(pipe.execute(raise_on_error=False))
            at += len(ids)
            heads = [dict(zip(wanted.fields, reply or (), strict=False)) for reply in replies]
            yield at, [(i, head) for i, head in zip(ids, heads, strict=True) if head.get("dag_id")]
            if len(ids) < size:
                return
