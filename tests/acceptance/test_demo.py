"""`make demo`: one command, the whole pipeline, the right tables, whatever was there before."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.acceptance.conftest import PLAIN, PROJECT

pytestmark = pytest.mark.big

# What is in the home before. None of the parts starts with its own, and an object would be listed.
BEFORE = (
    "bigquery/bigquery.duckdb",
    "dataproc/journal.jsonl",
    "gcs/project-pydag/events.csv",
    "history.sqlite",
    "redis/appendonlydir/appendonly.aof.manifest",
    "seeded",
    "up.json",
)


def rows(output):
    """Table -> rows and expected rows, as printed."""
    found = re.findall(r"^(\w+) +([\d,]+) +([\d,]+) *$", output, re.MULTILINE)
    return {name: (int(a.replace(",", "")), int(b.replace(",", ""))) for name, a, b in found}


@pytest.mark.timeout(600)  # Spark, and perhaps the installation of .venv
def test_the_demo_runs_the_pipeline_and_its_tables_are_right(tmp_path):
    home = tmp_path / "demo"
    for name in BEFORE:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("before")
    result = subprocess.run(
        ["make", "demo"],
        cwd=PROJECT,
        env={**PLAIN, "PYDAG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    tables = rows(result.stdout)
    assert tables["table_stg"] == (10_000, 10_000)
    assert set(tables) == {"table_stg", "mytable1", "mytable2", "mytable3"}
    assert all(there == expected > 0 for there, expected in tables.values())
    assert tables["mytable3"][0] == tables["mytable1"][0] + tables["mytable2"][0]
    # The timeline has a bar for each of the eight tasks, with its worker.
    assert len(re.findall(r"^\w+ +\|[ ·█]+\| .* worker-[12]@", result.stdout, re.MULTILINE)) == 8
    kept = [path for path in home.rglob("*") if path.is_file() and path.read_bytes() == b"before"]
    assert kept == []
    assert not (home / "up.json").exists()
