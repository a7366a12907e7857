"""The page about testing, and the example: their tests run, and they are tests."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.documents import ROOT, all_blocks


@pytest.mark.big
def test_the_tests_of_the_page_and_the_example_pass(tmp_path):
    blocks = all_blocks("python test")
    for number, block in enumerate(blocks):
        (tmp_path / f"test_page_{number}.py").write_text(block.text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        tmp_path,
    ]

    result = subprocess.run(
        [*command, tmp_path, ROOT / "examples" / "testing"],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # only what the page names
        check=False,
    )

    assert result.returncode == 0, result.stdout
    assert len(blocks) == 5
    assert "13 passed" in result.stdout
