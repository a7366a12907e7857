"""Runs a dbt project in tasks. Start a worker with `--import run_dbt`, on a host that has dbt.

`DBT` is the program, by default `dbt`; `DBT_PROJECT` is the folder of the project and its
profiles.yml, by default the one beside this file. Whoever writes a DAG can choose neither.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from pydag_dist import Fail

COMMANDS = ("build", "run", "seed", "snapshot", "test")
PROJECT = Path(__file__).with_name("shop")
WRONG = 2  # dbt's exit status for what another try would only repeat, such as a wrong project


def run(
    command: str,
    *,
    select: str = "",
    variables: dict[str, Any] | None = None,
    full_refresh: bool = False,
) -> dict[str, int]:
    """Run `dbt COMMAND`; how many of its nodes ended with each status.

    What dbt prints is the task's log. If the task is cancelled, dbt cancels its queries.
    """
    if command not in COMMANDS:
        raise Fail(f"{command!r} is none of {', '.join(COMMANDS)}")
    project = os.environ.get("DBT_PROJECT", str(PROJECT))
    # Tasks that run at the same time would overwrite each other's files.
    with tempfile.TemporaryDirectory(prefix="dbt-") as target:
        words = [os.environ.get("DBT", "dbt"), "--no-use-colors", command]
        words += [f"--project-dir={project}", f"--profiles-dir={project}"]
        words += [f"--target-path={target}", f"--log-path={target}"]
        words += [f"--select={select}"] if select else []
        words += [f"--vars={json.dumps(variables)}"] if variables else []
        words += ["--full-refresh"] if full_refresh else []
        status = _printed(words)
        ended = _statuses(Path(target, "run_results.json"))
    if status == WRONG or not ended:
        raise Fail(f"dbt {command} ended with status {status}: see the log")
    if status:
        failed = [name for name, how in ended.items() if how in ("error", "fail")]
        raise RuntimeError(f"dbt {command}: failed: {', '.join(failed)}")
    return dict(Counter(ended.values()))


def _printed(words: list[str]) -> int:
    """Run a program whose lines go to the task's log; its exit status."""
    # What is on the worker's path is none of dbt's: it imports all that is called dbt_….
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(line, end="")
        except BaseException:  # the task was cancelled, or its time is over
            process.send_signal(signal.SIGINT)
            raise
    return process.returncode


def _statuses(results: Path) -> dict[str, str]:
    """What became of each node of the project that dbt ran."""
    if not results.exists():
        return {}
    found = json.loads(results.read_text(encoding="utf-8"))["results"]
    return {each["unique_id"]: each["status"] for each in found}
