"""`make demo`: one command, the whole pipeline, the right tables; and again."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.acceptance.conftest import PLAIN, PROJECT

pytestmark = pytest.mark.big


def demo(*command, home):
    return subprocess.run(
        command,
        cwd=PROJECT,
        env={**PLAIN, "PYDAG_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def rows(output):
    """Table -> rows and expected rows, as printed."""
    found = re.findall(r"^(\w+) +([\d,]+) +([\d,]+) *$", output, re.MULTILINE)
    return {name: (int(a.replace(",", "")), int(b.replace(",", ""))) for name, a, b in found}


@pytest.mark.timeout(600)  # Spark twice, and perhaps the installation of .venv
def test_the_demo_runs_the_pipeline_and_its_tables_are_right(tmp_path):
    result = demo("make", "demo", home=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    tables = rows(result.stdout)
    assert tables["table_stg"] == (10_000, 10_000)
    assert set(tables) == {"table_stg", "mytable1", "mytable2", "mytable3"}
    assert all(there == expected > 0 for there, expected in tables.values())
    assert tables["mytable3"][0] == tables["mytable1"][0] + tables["mytable2"][0]
    # The timeline has a bar for each of the eight tasks, with its worker.
    assert len(re.findall(r"^\w+ +\|[ ·█]+\| .* worker-[12]@", result.stdout, re.MULTILINE)) == 8
    assert not (tmp_path / "demo" / "up.json").exists()

    again = demo(str(PROJECT / ".venv" / "bin" / "pydag"), "demo", "--rows", "500", home=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert rows(again.stdout)["table_stg"] == (500, 500)
