"""The forms in which a DAG can be written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from pydag_dist.dag import draw
from pydag_dist.dag.model import Dag
from pydag_dist.dag.python_code import python


def own(dag: Dag) -> str:
    """Our own JSON, as a file has it."""
    return json.dumps(dag.to_dict(), indent=2, ensure_ascii=False)


FORMS: Final[Mapping[str, Callable[[Dag], str]]] = {
    "own": own,
    "python": python,
    "mermaid": draw.mermaid,
    "text": draw.text,
}
