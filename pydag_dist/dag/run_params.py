"""What a run of a DAG may be given as params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydag_dist.dag.expansion import known_lengths
from pydag_dist.dag.model import Dag
from pydag_dist.dag.reading.dag_file import params_problem
from pydag_dist.dag.templates.parsing import parsed_all
from pydag_dist.dag.text.strict_json import dotted, faults
from pydag_dist.errors import PydagError


def checked_params(dag: Dag, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The params of a run.

    `PydagError` if JSON can't say them, they are too long, or a list is missing that a task
    expands over.
    """
    given = dict(params or {})
    if wrong := [f"{dotted(path)} {problem}".lstrip() for path, problem in faults(given)]:
        raise PydagError(f"params of the run: {'; '.join(wrong)}")
    if problem := params_problem(given):
        raise PydagError(f"params of the run: {problem}")
    known_lengths(dag.dag_id, list(dag.tasks.values()), {**dag.params, **given})
    return given


def check_names(dag: Dag, params: Mapping[str, Any]) -> None:
    """`PydagError` if the DAG neither declares one of these params nor names it in a template."""
    used = [
        template.params
        for task in dag.tasks.values()
        for template in parsed_all(task.params_to_render)
    ]
    if None in used:  # only rendering such a template shows which params it uses
        return
    known = {*dag.params, *(name for names in used for name in names or ())}
    if unknown := [name for name in params if name not in known]:
        has = ", ".join(sorted(known)) or "none"
        raise PydagError(
            f"DAG {dag.dag_id} has no param {', '.join(unknown)} (it has: {has}): mend the name, "
            "or declare it in `params` of the DAG"
        )
