"""The fixture of `pydag_dist.testing.plugin`, as docs/testing.md shows it."""

from __future__ import annotations

import subprocess
import sys

from tests.acceptance.conftest import PLAIN
from tests.support.documents import all_blocks


def test_a_test_of_ones_own_has_an_installation(tmp_path):
    conftest, test = all_blocks("python fixture")
    (tmp_path / "conftest.py").write_text(conftest.text)
    (tmp_path / "test_shop.py").write_text(test.text)

    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", tmp_path],
        cwd=tmp_path,
        env=PLAIN,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout
