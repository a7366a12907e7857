"""What one version of a DAG has otherwise than another, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydag_dist.dag.editing.comparing import differences

_SHOWN: Final = 60  # characters of a value
_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}


def difference(before: str, after: str) -> list[str]:
    """Two DAGs' texts compared: a line for each field, and for each task that is not the same."""
    old, new, found = json.loads(before), json.loads(after), differences(before, after)
    lines = [f"{name}: {_shown(old, name)} -> {_shown(new, name)}" for name in found.fields]
    for each in found.tasks:
        fields = f": {', '.join(each.fields)}" if each.fields else ""
        lines.append(f"{_SIGNS[each.what]} task {each.task}{fields}")
    return lines


def _shown(dag: Mapping[str, Any], name: str) -> str:
    if name not in dag:
        return "none"
    text = json.dumps(dag[name], ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
