"""Which runs a list of runs is to have."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydag_dist.engine.snapshot import RunSummary, seconds

LOOK: Final = 20_000  # runs that are looked at for one list


@dataclass(frozen=True)
class Wanted:
    """What runs are looked for; what is empty is not asked. Times are epoch seconds.

    `since` and `until` are about the submission; a run must have one of the `states`, all `tags`,
    and have been submitted with all `params`.
    """

    dag_id: str = ""
    states: Collection[str] = ()
    since: float | None = None
    until: float | None = None
    tags: Collection[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_narrow(self) -> bool:
        """Whether it is not every run."""
        return self != Wanted()

    @property
    def fields(self) -> tuple[str, ...]:
        """What `has` has to know of a run's hash, and no more: params are long."""
        more = ("tags",) * bool(self.tags) + ("params",) * bool(self.params)
        return ("dag_id", "state", "submitted_at", *more)

    def has(self, head: Mapping[str, str | None]) -> bool:
        """Whether a run is wanted whose hash has these fields."""
        if self.dag_id and head.get("dag_id") != self.dag_id:
            return False
        if self.states and head.get("state") not in self.states:
            return False
        at = seconds(head.get("submitted_at")) or 0.0
        if (self.since is not None and at < self.since) or (
            self.until is not None and at >= self.until
        ):
            return False
        return self.has_details(head)

    def has_details(self, head: Mapping[str, str | None]) -> bool:
        """Likewise, as far as its tags and params go."""
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
