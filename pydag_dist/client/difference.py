"""What one version of a DAG has otherwise than another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_SHOWN: Final = 60  # characters of a value


def difference(before: str, after: str) -> list[str]:
    """Two DAGs' texts compared: a line for each field, and for each task that is not the same."""
    old, new = json.loads(before), json.loads(after)
    lines = [
        f"{name}: {_shown(old, name)} -> {_shown(new, name)}"
        for name in sorted((old.keys() | new.keys()) - {"tasks"})
        if old.get(name) != new.get(name)
    ]
    was, now = _tasks(old), _tasks(new)
    lines += [f"+ task {name}" for name in now if name not in was]
    lines += [f"- task {name}" for name in was if name not in now]
    for name in now:
        if name in was and was[name] != now[name]:
            fields = was[name].keys() | now[name].keys()
            changed = sorted(f for f in fields if was[name].get(f) != now[name].get(f))
            lines.append(f"~ task {name}: {', '.join(changed)}")
    return lines


def _tasks(dag: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {task["task_id"]: task for task in dag["tasks"]}


def _shown(dag: Mapping[str, Any], name: str) -> str:
    if name not in dag:
        return "none"
    text = json.dumps(dag[name], ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
