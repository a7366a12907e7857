"""A worker loads what it needs, and its keeper less."""

from __future__ import annotations

import json
import os
import subprocess
import sys

CODE = """
import json, os, runpy, sys
sys.argv[1:] = ["-A", "workers", "worker", "--help"]
loaded_before_forks = []
os.register_at_fork(before=lambda: loaded_before_forks.append("celery" in sys.modules))
try:
    runpy.run_module("workers", run_name="__main__")
except SystemExit as end:
    found = [name for name in json.loads(os.environ["SPARED"]) if name in sys.modules]
    print(json.dumps([end.code, loaded_before_forks, found]))
"""
SPARED = ["celery.bin.amqp", "flower", "prompt_toolkit", "tornado", "redis.asyncio.client"]


def test_a_worker_starts_its_keeper_first_and_loads_no_other_commands_of_celery(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "PYDAG_HOME": str(tmp_path), "SPARED": json.dumps(SPARED)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage: celery worker [OPTIONS]" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == [0, [False], []]
