"""What a task would be given in a run that does not exist."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydag_dist.dag.model import Dag
from pydag_dist.dag.planning.rendering import Unrendered, rendered
from pydag_dist.dag.planning.task_spec import RunParams, spec_of

RUN: Final = "rendered"  # the id of that run


@dataclass(frozen=True)
class _Try:
    run: str
    task: str
    try_number: int = 1


def tried(
    dag: Dag, task_id: str, run: RunParams, results: Mapping[str, Any], index: int = 0
) -> tuple[str, dict[str, Any]]:
    """The name and the rendered params of a task's first try, or of the child with that index.

    Raises `Unrendered`, whose message says what is missing, and `KeyError` for a task that is not
    there.
    """
    task = dag.tasks[task_id]
    spec = json.loads(spec_of(dag, task, None, run))
    name = f"{task_id}.{index}" if task.expand else task_id

    def known(tasks: Sequence[str]) -> dict[str, Any]:
        if missing := [each for each in tasks if each not in results]:
            raise Unrendered(
                f"needs the result of {', '.join(missing)}: give it in results", final=True
            )
        return {each: results[each] for each in tasks}

    try:
        return name, rendered(_Try(RUN, name), spec, known, lambda _: {**dag.params, **run.params})
    except LookupError:
        raise Unrendered(f"{task_id}: its list has no item {index}", final=True) from None
