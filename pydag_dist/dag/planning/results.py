"""What a try is given and what its end says: params, a result, tasks that a branch skips, lists.

What can't be so raises `TaskFailed`, and no other try of the task would end otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pydag_dist.dag import limits
from pydag_dist.dag.params.branch import Branch
from pydag_dist.dag.templates.texts import at_path
from pydag_dist.dag.text.messages import field_names, message
from pydag_dist.dag.text.quote import quote, with_article
from pydag_dist.dag.text.strict_json import HALVES, dotted, faults
from pydag_dist.errors import TaskFailed

Model = TypeVar("Model", bound=BaseModel)


def parsed(operator: str, params: Mapping[str, Any], model: type[Model]) -> Model:
    """Rendered params as `model`; a final `TaskFailed` with every problem."""
    try:
        return model.model_validate(params)
    except ValidationError as error:
        problems = "; ".join(
            f"{dotted(p['loc']) or 'params'}: {message(p, field_names(model), with_value=False)}"
            for p in error.errors()
        )
        raise TaskFailed(f"params of {operator}: {problems}", final=True) from None


def packed(operator: str, result: Any) -> str:
    """What an operator returned as JSON, None as an empty text."""
    if result is None:
        return ""
    try:
        text = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TaskFailed(
            f"{operator} returned {with_article(type(result).__name__)} that is not JSON "
            f"({error}): return None, or text, numbers, booleans, lists and objects of these",
            final=True,
        ) from None
    if len(text) > limits.RESULT_BYTES:  # json.dumps writes ASCII only
        raise TaskFailed(
            f"{operator} returned {len(text):,} bytes of JSON, and at most "
            f"{limits.RESULT_BYTES:,} are kept: write data to a table or a file, and return "
            "its name",
            final=True,
        )
    # Halves of characters, of a file's name for instance, are escaped in JSON.
    found = [(path, fault) for path, fault in faults(result) if fault not in HALVES]
    if wrong := [f"{dotted(('result', *path))} {fault}" for path, fault in found]:
        message = f"{operator} returned what JSON can't say: {'; '.join(wrong[:5])}"
        raise TaskFailed(message, final=True)
    return text


def by_condition(params: Branch) -> Any:
    """What a branch with `when` chooses, whose params are rendered."""
    if params.model_fields_set & {"then", "else_"}:
        return params.then if params.when else params.else_
    return bool(params.when)


def followed(chosen: Any, downstream: Sequence[str]) -> list[str]:
    """The ids that a branch follows which returned `chosen`."""
    if isinstance(chosen, bool):
        return list(downstream) if chosen else []
    if chosen is None:
        return []
    ids = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(ids, list | tuple) or not all(isinstance(name, str) for name in ids):
        raise TaskFailed(
            "a branch returns the id of a task, a list of ids, True (follow all), or False or "
            f"None (follow none), not {chosen!r}",
            final=True,
        )
    return list(ids)


def skipped(chosen: list[str], branch: dict[str, Any]) -> list[str]:
    """The direct downstream tasks that are skipped.

    As in Airflow, one that is also downstream of a chosen task is not: its own rule decides.
    """
    downstream = branch["downstream"]
    if unknown := [task for task in chosen if task not in downstream]:
        raise TaskFailed(
            f"the branch chose {', '.join(map(str, unknown))}, which is not among its direct "
            f"downstream tasks: {', '.join(downstream)}",
            final=True,
        )
    kept = set(chosen)
    for task in chosen:
        kept.update(branch["reaches"].get(task, ()))
    return [task for task in downstream if task not in kept]


def expansion_counts(result: Any, expanded_by: Mapping[str, Sequence[str | int]]) -> dict[str, int]:
    """Into how many tasks each task expands that is expanded over this result.

    Raises `TaskFailed` if there is no list for one of them, or too long a one.
    """
    counts = {}
    for task, path in expanded_by.items():
        place = dotted(("result", *path))
        try:
            found = at_path(result, path)
        except LookupError:
            raise TaskFailed(
                f"task {task} is expanded over {place}, which is not there: {quote(result)}",
                final=True,
            ) from None
        if not isinstance(found, list):
            raise TaskFailed(
                f"task {task} is expanded over {place}, which must be a list, not {quote(found)}",
                final=True,
            )
        if len(found) > limits.CHILDREN:
            raise TaskFailed(
                f"task {task} is expanded over {place}, of at most {limits.CHILDREN:,} items, "
                f"not {len(found):,}: give each task a slice of the list",
                final=True,
            )
        counts[task] = len(found)
    if (total := sum(counts.values())) > limits.RUN_CHILDREN:
        raise TaskFailed(
            f"{len(counts)} tasks are expanded over the result, into {total:,} together, and at "
            f"most {limits.RUN_CHILDREN:,} are made: let fewer tasks do more with each item",
            final=True,
        )
    return counts


def first_of_kind(error: BaseException, kind: type[Exception]) -> BaseException | None:
    """The error, or one of a group (what `asyncio.TaskGroup` raises), if it is of that kind."""
    if isinstance(error, BaseExceptionGroup):
        return next(
            (found for inner in error.exceptions if (found := first_of_kind(inner, kind))), None
        )
    return error if isinstance(error, kind) else None


def all_of_kind(error: BaseException, kind: type[Exception]) -> BaseException | None:
    """The error, or the first of a group if all of the group are of that kind."""
    if isinstance(error, BaseExceptionGroup):
        found = [all_of_kind(inner, kind) for inner in error.exceptions]
        return None if None in found else found[0]
    return error if isinstance(error, kind) else None


def reason(error: BaseException) -> str:
    """The text with which a function raised `Skip` or `Fail`."""
    try:
        text = str(error).strip()
    except Exception:  # noqa: BLE001  of a user's subclass
        text = ""
    return text or "no reason was given"
