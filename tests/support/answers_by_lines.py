"""Answers each line of JSON, a path and a body, as `pydag web` does: for tests of the interface."""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import TypeAdapter

from pydag_dist.dag import schema
from pydag_dist.dag.editing.edits import Edit, edited
from pydag_dist.dag.operators import SCRIPTS, operator_names, params_model
from pydag_dist.errors import PydagError


def answer(path: str, body: Any) -> Any:
    """What `pydag web` answers there, as far as tests use it."""
    if path == "/edit":
        try:
            changes = edited(body["text"], TypeAdapter(list[Edit]).validate_python(body["edits"]))
        except PydagError as error:
            return {"error": str(error)}
        return {"changes": [change._asdict() for change in changes]}
    if path == "/operators":
        names = sorted({*operator_names(), *SCRIPTS})
        models = {name: params_model(name) for name in names}
        return {
            "items": [
                {"name": name, "help": "", "queue": "", "is_script": name in SCRIPTS,
                 "params": model and model.model_json_schema()}
                for name, model in models.items()
            ]
        }  # fmt: skip
    return schema()


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(answer(asked["path"], asked["body"])) + "\n")
        sys.stdout.flush()
