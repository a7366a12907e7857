"""Tests of your own DAGs: runs in the test's process, without Redis, by a clock that skips.

`play` runs a DAG; results, errors and functions stand in for its operators. The states are those
of the `reference` model, with which the engine is compared by its own tests. For the few tests that
need everything, `pydag_dist.testing.plugin` has a fixture of pytest.
"""

from __future__ import annotations

from pydag_dist.testing.played import PlayedRun, PlayedTask, PlayedTry
from pydag_dist.testing.player import play
from pydag_dist.testing.recorded import recorded
from pydag_dist.testing.stand_ins import Call, after

__all__ = ["Call", "PlayedRun", "PlayedTask", "PlayedTry", "after", "play", "recorded"]
