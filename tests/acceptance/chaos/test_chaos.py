"""A short session of faults: every run ends as it has to, and nothing happens twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance.chaos.chaos import Chaos, Plan
from tests.acceptance.chaos.report import evidence

FAULTS = int(os.environ.get("PYDAG_TEST_FAULTS", "10"))
# One each; the others take longer, and are for `make chaos`.
KINDS = (
    "kill_child",
    "kill_parent",
    "kill_coordinator",
    "pause_parent",
    "pause_child",
    "pause_worker",
    "kill_redis",
    "roll_back_5",
    "drop_messages",
    "copy_messages",
)
SEED = int(os.environ.get("PYDAG_TEST_SEED", "1"))


@pytest.mark.timeout(900)
@pytest.mark.big
def test_random_faults_change_no_end_and_repeat_nothing_without_a_reason(tmp_path: Path) -> None:
    chaos = Chaos(Plan(FAULTS, SEED, gap=5, kinds=KINDS, short=0.2), tmp_path, print)
    violations = chaos.run()
    assert not violations, "\n".join(evidence(chaos, violations))
    assert len(chaos.faults) == FAULTS
