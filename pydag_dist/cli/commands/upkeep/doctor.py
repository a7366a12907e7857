"""The command that looks at an installation and says what is wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Final

import click

from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import wrapped
from pydag_dist.cli.options import JSON
from pydag_dist.doctor import Finding, look
from pydag_dist.engine import Engine
from pydag_dist.settings import load_settings

SECONDS: Final = 60.0  # for what a worker on this host would lack
MARKS: Final = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


@click.command()
@click.option("--worker", "as_worker", is_flag=True, help="Also what a worker on this host needs.")
@JSON
def doctor(*, as_worker: bool, as_json: bool) -> None:
    """Look at the installation from this host, and say what is wrong with it and what to do.

    Redis, its file and its memory; coordinators, workers, queues that nobody serves, versions and
    clocks; the history, the log store, and the disk. With --worker also this host's modules,
    connections and Google credentials. Exit code 1 if there is an error.

    \b
    Examples:
        pydag doctor
        pydag doctor --worker
    """
    settings = load_settings()
    settings.require_redis()
    found = look(Engine.from_url(settings.redis_url, settings.key_prefix), settings)
    if as_worker:
        found += _of_worker()
    if as_json:
        echo(json.dumps({"findings": [asdict(each) for each in found]}, indent=2))
    else:
        for each in found:
            mark = f"{MARKS[each.level]}  "
            echo(wrapped(f"{mark}{each}", len(mark)))
    if any(each.level == "error" for each in found):
        raise SystemExit(1)


def _of_worker() -> list[Finding]:
    command = [sys.executable, "-P", "-m", "workers.doctor"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        return [Finding(**each) for each in json.loads(done.stdout)]
    except subprocess.TimeoutExpired:
        return [Finding("error", "Google did not answer within a minute", "look at the network")]
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return [
            Finding(
                "error", f"a worker can't start here: {last}", "pip install 'pydag-dist[worker]'"
            )
        ]
