"""The JSON Schema of DAG files, made from the same fields that files are checked with."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from pydag_dist.dag.fields import DagFields, Task
from pydag_dist.dag.operators import OPERATORS, SCRIPTS, operator_names, params_model
from pydag_dist.dag.reading import MAX_TASKS

_DIALECT: Final = GenerateJsonSchema.schema_dialect
_PYDAG_TEXT: Final = {"type": "string", "description": "pyDag's text of an object"}


def schema() -> dict[str, Any]:
    """A schema for editors; draft 2020-12.

    It can't say what needs a look at several tasks (ids that are there twice, unknown
    dependencies, cycles): `Dag.parse` does.
    """
    (_, definitions), fields, task = (
        models_json_schema(
            [(model, "validation") for model in (*OPERATORS.values(), *SCRIPTS.values())],
            ref_template="#/$defs/{model}",
        ),
        TypeAdapter(DagFields).json_schema(ref_template="#/$defs/{model}"),
        TypeAdapter(Task).json_schema(ref_template="#/$defs/{model}"),
    )
    defs = {**definitions["$defs"], **task.pop("$defs", {}), **fields.pop("$defs", {})}
    _narrow(fields, task)
    wrapped = {
        "type": "object",
        "properties": {"dag": {"$ref": "#/$defs/Dag"}},
        "required": ["dag"],
        "additionalProperties": False,
    }
    return {
        "$schema": _DIALECT,
        "title": "A DAG of pydag_dist",
        "if": {"required": ["dag"], "not": {"required": ["tasks"]}},
        "then": wrapped,
        "else": {"$ref": "#/$defs/Dag"},
        "$defs": {**defs, "Dag": fields, "Task": task},
    }


def _narrow(fields: dict[str, Any], task: dict[str, Any]) -> None:
    """Say what types alone don't."""
    fields["properties"]["tasks"] = {
        "type": "array",
        "items": {"$ref": "#/$defs/Task"},
        "minItems": 1,
        "maxItems": MAX_TASKS,
    }
    fields["required"] = [*fields["required"], "tasks"]
    task["properties"]["operator"]["enum"] = list(operator_names())
    del task["properties"]["operator"]["default"]
    task["oneOf"] = [{"required": ["operator"]}, {"required": ["script"]}]
    task["allOf"] = [_params_rule(name) for name in (*OPERATORS, *SCRIPTS)]


def _params_rule(operator: str) -> dict[str, Any]:
    """If a task has that operator, or a script of that engine, then its params look like so."""
    model = params_model(operator)
    assert model is not None  # noqa: S101  the catalogue's own names
    schema: dict[str, Any] = {
        "properties": {"params": {"anyOf": [{"$ref": f"#/$defs/{model.__name__}"}, _PYDAG_TEXT]}}
    }
    if any(field.is_required() for field in model.model_fields.values()):
        schema["required"] = ["params"]
    name = (
        {"script": {"pattern": rf"\.{operator.removeprefix('script.')}\.[^.]*$"}}
        if operator in SCRIPTS
        else {"operator": {"const": operator}}
    )
    return {"if": {"properties": name, "required": list(name)}, "then": schema}
