"""Stand-ins by what a real run did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydag_dist.errors import Fail, PydagError, Skip
from pydag_dist.testing.stand_ins import after

_NOT_RUN: Final = "it did not run when this was recorded"


def recorded(status: Mapping[str, Any]) -> dict[str, Any]:
    """Stand-ins for all tasks of a run, by what `pydag status RUN --json` printed of it.

    Each try takes as long as the task's last one, and ends as that did: with its result, as
    skipped, or as failed for good. A task that did not run then fails if it does now.
    """
    tasks = status.get("tasks")
    if not isinstance(tasks, Mapping):
        raise PydagError("recorded() takes the object that `pydag status RUN --json` prints")
    return {name: _stand_in(task) for name, task in tasks.items()}


def _stand_in(task: Mapping[str, Any]) -> Any:
    began, ended = task.get("started_at"), task.get("ended_at")
    if began is None or ended is None:  # an expanded task's own is for children that it had not
        return Fail(_NOT_RUN)
    error = str(task.get("error") or "").removeprefix("not repeated: ")
    end: Any = Fail(error or _NOT_RUN)
    if task["state"] == "success":
        end = task["result"]
    elif task["state"] == "skipped":
        end = Skip(error)
    return after(max(0.0, ended - began), end)
