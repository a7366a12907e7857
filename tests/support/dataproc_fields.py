"""The fields of Dataproc's configurations, as its client library has them.

`python -m tests.support.dataproc_fields` writes them for hosts that have no such library.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import proto
from google.cloud.dataproc_v1 import ClusterConfig, EnvironmentConfig, WorkflowTemplate

from pydag_dist.dag.params import dataproc_config

FILE = Path(dataproc_config.__file__).with_suffix(".json")
_SCALARS = {
    proto.BOOL: "bool",
    proto.STRING: "text",
    proto.BYTES: "text",
    proto.DOUBLE: "number",
    proto.FLOAT: "number",
}


def fields() -> dict[str, Any]:
    """Name of a message -> its fields and their kinds; name of an enum -> its values' names."""
    found: dict[str, Any] = {}
    todo = [ClusterConfig, EnvironmentConfig, WorkflowTemplate]
    while todo:
        message = todo.pop()
        if message.__qualname__ in found:
            continue
        found[message.__qualname__] = kinds = {}
        for name, field in sorted(message.meta.fields.items()):
            kinds[name] = _kind(field, found, todo)
    return dict(sorted(found.items()))


def _kind(field: Any, found: dict[str, Any], todo: list[Any]) -> str:
    kind = _SCALARS.get(field.proto_type, "integer")
    if field.enum is not None:
        kind = field.enum.__qualname__
        found[kind] = [value.name for value in field.enum]
    elif field.message is not None:
        is_ours = isinstance(field.message, type) and issubclass(field.message, proto.Message)
        if is_ours and (options := field.message.meta.options) and options.map_entry:
            return f"{{{_kind(field.message.meta.fields['value'], found, todo)}}}"
        kind = field.message.__qualname__ if is_ours else "any"
        if is_ours:
            todo.append(field.message)
    return f"[{kind}]" if isinstance(field, proto.RepeatedField) else kind


if __name__ == "__main__":
    FILE.write_text(json.dumps(fields(), indent=1, sort_keys=True) + "\n")
