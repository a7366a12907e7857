"""Waiting for a run's end: its progress on stderr, and the exit code."""

from __future__ import annotations

import json
from functools import partial

import redis

from pydag_dist.cli.display.output import echo
from pydag_dist.client import Run
from pydag_dist.client.run import failure_text
from pydag_dist.engine import RunSnapshot
from pydag_dist.errors import PydagError, RedisAway

NOT_SUCCESSFUL = 1
TIMED_OUT = 3
INTERRUPTED = 130


def wait_for(
    run: Run, timeout: float | None, *, as_json: bool = False, wanted: str = "success"
) -> None:
    """Show the run's progress until it ends; exits unless it ends in the state that is wanted."""
    from rich.console import Console

    from pydag_dist.cli.display import progress

    try:
        snapshot = progress.watch(run.follow(timeout), Console(stderr=True), partial(_why, run))
    except KeyboardInterrupt:
        echo(
            f"The run goes on: `pydag status {run.id} --wait` shows its progress again, "
            f"`pydag cancel {run.id}` stops it",
            err=True,
        )
        raise SystemExit(INTERRUPTED) from None
    except TimeoutError as error:
        echo(f"Error: {error}", err=True)
        if as_json and not isinstance(error.__cause__, RedisAway):
            echo(json.dumps(run.snapshot().to_dict()))
        raise SystemExit(TIMED_OUT) from None
    except RedisAway as error:
        echo(f"Error: {error}", err=True)
        raise SystemExit(TIMED_OUT) from None
    if as_json:
        echo(json.dumps(snapshot.to_dict()))
    if snapshot.state == wanted:
        return
    if snapshot.state == "success":
        echo(f"Error: run {run.id} succeeded before it was {wanted}", err=True)
    else:
        echo(f"Error: {failure_text(snapshot)}", err=True)
    raise SystemExit(NOT_SUCCESSFUL)


def _why(run: Run, snapshot: RunSnapshot) -> str:
    """What keeps the run from going on, beside what its table shows."""
    try:
        reasons = run.reasons(snapshot)
    except RedisAway:
        raise
    except (PydagError, redis.ResponseError):  # it is not there just now, or is damaged
        return ""
    waiting = [r for r in reasons if r.task is not None and r.state != "failed"]
    if snapshot.state == "queued" or not waiting:
        waiting = reasons[:1]
    return "\n".join(reason.why for reason in waiting)
