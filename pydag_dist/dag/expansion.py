"""Expansion over lists that are known before the run begins: of the file, or of a param."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydag_dist.dag import limits
from pydag_dist.dag.fields import Expand, Task
from pydag_dist.dag.templates.texts import at_path, is_templated
from pydag_dist.dag.text.quote import quote
from pydag_dist.errors import InvalidDag, Problem


def known_list(expand: Expand, params: Mapping[str, Any]) -> list[Any] | None:
    """The list; None if a task will return it. ValueError if it is missing, wrong or too long."""
    place = expand.place
    found: Any
    if place is None:
        found = expand.over
        if is_templated(found):
            raise ValueError("items are taken as they are: templates belong into params")
        where = "the list"
    elif place.root == "params":
        where = str(expand.over)
        try:
            found = at_path(params, [place.name, *place.path])
        except LookupError:
            raise ValueError(f"{where} is not there: give the run that param") from None
        if not isinstance(found, list):
            raise ValueError(f"{where} must be a list, not {quote(found)}")
    else:
        return None
    if len(found) > limits.CHILDREN:
        raise ValueError(f"{where} must have at most {limits.CHILDREN:,} items, not {len(found):,}")
    if (size := _size(found)) > limits.RESULT_BYTES:
        raise ValueError(
            f"{where} must have at most {limits.RESULT_BYTES:,} bytes as JSON, not {size:,}: "
            "let items be names of files or tables"
        )
    return list(found)


def _size(found: list[Any]) -> int:
    try:
        return len(json.dumps(found))
    except (TypeError, ValueError, RecursionError):
        return 0  # not JSON, which is reported elsewhere


def lengths(
    tasks: Sequence[Task | None], params: Mapping[str, Any], *, complete: bool = True
) -> tuple[dict[int, int], list[tuple[int, str]]]:
    """The lengths of the known lists that tasks expand over, and problems, by the task's number.

    Unless `complete`, a missing param is no problem: the run may be given it.
    """
    found: dict[int, int] = {}
    problems: list[tuple[int, str]] = []
    for number, task in enumerate(tasks):
        if not task or not task.expand:
            continue
        try:
            place = task.expand.place
            if place and place.root == "params" and not complete and place.name not in params:
                continue
            known = known_list(task.expand, params)
        except ValueError as error:
            problems.append((number, str(error)))
        else:
            if known is not None:
                found[number] = len(known)
    if (total := sum(found.values())) > limits.RUN_CHILDREN:
        text = (
            f"with it the expanded tasks of a run become {total:,}, and at most "
            f"{limits.RUN_CHILDREN:,} are made: let fewer tasks do more with each item"
        )
        problems.append((max(found, key=found.__getitem__), text))
    return found, problems


def known_lengths(source: str, tasks: Sequence[Task], params: Mapping[str, Any]) -> dict[str, int]:
    """The lengths of the lists in a run with these params, by task id; raises `InvalidDag`."""
    found, problems = lengths(tasks, params)
    if problems:
        raise InvalidDag(
            Problem(source, tasks[number].task_id, "expand.over", text) for number, text in problems
        )
    return {tasks[number].task_id: length for number, length in found.items()}
