"""What a client checks of a mark: that the task's result is what others expand over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydag_dist.dag import limits
from pydag_dist.dag.templates.texts import at_path
from pydag_dist.dag.text.strict_json import dotted, faults
from pydag_dist.errors import PydagError

if TYPE_CHECKING:
    from pydag_dist.dag import Dag

STATES = ("success", "skipped", "failed")


def packed(task: str, state: str, result: Any) -> str:
    """A marked task's result as JSON, empty for none; `PydagError` for what is none."""
    if state not in STATES:
        raise PydagError(f"a task is marked {', '.join(STATES[:-1])} or {STATES[-1]}, not {state}")
    if result is None:
        return ""
    if state != "success":
        raise PydagError(f"{task}: only a task that is marked success has a result")
    if wrong := [f"{dotted(path)} {problem}" for path, problem in faults({"result": result})]:
        raise PydagError(f"{task}: {'; '.join(wrong)}")
    text = json.dumps(result)
    if len(text) > limits.RESULT_BYTES:
        raise PydagError(
            f"{task}: its result has {len(text):,} bytes as JSON, and may have "
            f"{limits.RESULT_BYTES:,}"
        )
    return text


def expansions(dag: Dag, task: str, state: str, result: Any) -> dict[str, int]:
    """Into how many each task expands that does so over the marked one's result."""
    found = {}
    for name in dag.downstream.get(task, ()):
        expand = dag.tasks[name].expand
        if expand and expand.task == task and (place := expand.place):
            found[name] = _length(task, name, place.path, result) if state == "success" else 0
    return found


def _length(task: str, name: str, path: tuple[str | int, ...], result: Any) -> int:
    try:
        value = at_path(result, path)
    except LookupError:
        value = None
    if not isinstance(value, list) or len(value) > limits.CHILDREN:
        raise PydagError(
            f"{task}: task {name} becomes one task for each item of a list in its result: give the "
            f"result with that list, of at most {limits.CHILDREN:,} items (--result JSON)"
        )
    return len(value)
