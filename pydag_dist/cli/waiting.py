"""Waiting for a run's end: its progress on stderr, and the exit code."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import TYPE_CHECKING

import redis

from pydag_dist.cli import redis_time, run_lookup
from pydag_dist.cli.display.output import echo
from pydag_dist.cli.group import INTERRUPTED
from pydag_dist.errors import PydagError, RedisAway

if TYPE_CHECKING:
    from pydag_dist.cli.display.live import Outlook
    from pydag_dist.client import Run
    from pydag_dist.engine import RunSnapshot

NOT_SUCCESSFUL = 1
TIMED_OUT = 3


def wait_for(
    run: Run, timeout: float | None, *, as_json: bool = False, wanted: str = "success"
) -> None:
    """Show the run's progress until it ends; exits unless it ends in the state that is wanted."""
    from rich.console import Console

    from pydag_dist.cli.display import progress

    try:
        snapshot = progress.watch(
            run.follow(timeout), Console(stderr=True), partial(_why, run), outlook=_Outlook()
        )
    except KeyboardInterrupt:
        echo(
            f"The run goes on: `pydag watch {run.id}` shows its progress again, "
            f"`pydag cancel {run.id}` stops it",
            err=True,
        )
        raise SystemExit(INTERRUPTED) from None
    except TimeoutError as error:
        echo(f"Error: {error}", err=True)
        if as_json and not isinstance(error.__cause__, RedisAway):
            echo(json.dumps(redis_time.told(run.snapshot())))
        raise SystemExit(TIMED_OUT) from None
    except RedisAway as error:
        echo(f"Error: {error}", err=True)
        raise SystemExit(TIMED_OUT) from None
    if as_json:
        echo(json.dumps(redis_time.told(snapshot)))
    if snapshot.state == wanted:
        return
    if snapshot.state == "success":
        echo(f"Error: run {run.id} succeeded before it was {wanted}", err=True)
    else:
        from pydag_dist.client.run import failure_text

        echo(f"Error: {failure_text(snapshot)}", err=True)
    raise SystemExit(NOT_SUCCESSFUL)


class _Outlook:
    """What time it is, and when a run may end, by what its tasks usually take, if that is known."""

    def __init__(self) -> None:
        self._upstream: dict[str, list[str]] = {}
        self._usual: dict[str, float] = {}
        self._is_known = False

    def __call__(self, run: RunSnapshot) -> Outlook:
        from pydag_dist.cli.pictures.plan import expected_end, upstream_of

        now = redis_time.end_of(run)
        if run.ended or run.state == "queued":
            return now, None
        if not self._is_known:
            self._is_known = True  # whatever is read: nothing is read twice
            with contextlib.suppress(PydagError, redis.RedisError):
                self._usual = run_lookup.usual_seconds(run.dag_id)
                if self._usual:
                    self._upstream = upstream_of(run_lookup.dag_of(run.run_id))
        return now, expected_end(self._upstream, run.tasks, self._usual, now)


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
