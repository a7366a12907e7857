"""The newest runs, of all DAGs or of one, live."""

from __future__ import annotations

import time
from typing import Any, Final

from pydag_dist.engine import RunFilter
from pydag_dist.web.live.topic import Topic, frame
from pydag_dist.web.site import Site
from pydag_dist.web.views import run_item

RUNS: Final = 100
SHARE: Final = 20
EVERY: Final = 1.0  # seconds


class RunsTopic(Topic):
    """The newest runs of Redis."""

    def __init__(self, site: Site, dag_id: str) -> None:
        super().__init__()
        self._site, self._wanted = site, RunFilter(dag_id)
        self._items: dict[str, dict[str, Any]] = {}
        self._next = 0.0

    def snapshot(self) -> bytes:
        """All of them."""
        return frame("snapshot", {"items": list(self._items.values())})

    def advance(self) -> None:
        """Make a frame of the runs that have changed."""
        began = time.monotonic()
        if began < self._next:
            return
        found = self._site.engine.runs.listing(RUNS, self._wanted).runs
        now = time.time()
        items = {run.run_id: run_item(self._site, run, now) for run in found}
        changed = [
            item for name, item in items.items() if _kept(self._items.get(name)) != _kept(item)
        ]
        with self.lock:
            self._items = items
            if changed:
                self.add(frame("changes", {"items": changed}))
        self.wake()
        self._next = began + max(EVERY, SHARE * (time.monotonic() - began))


def _kept(item: dict[str, Any] | None) -> dict[str, Any] | None:
    """Without what changes by itself."""
    return item and {name: value for name, value in item.items() if name != "took"}
