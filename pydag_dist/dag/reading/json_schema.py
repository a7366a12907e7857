"""The JSON Schema of DAG files, made from the same fields that files are checked with."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from pydag_dist.dag import limits
from pydag_dist.dag.fields import DagFields, Task
from pydag_dist.dag.operators import OPERATORS, SCRIPTS, operator_names, params_model
from pydag_dist.dag.text.patterns import FILLED

_DIALECT: Final = GenerateJsonSchema.schema_dialect
_TEMPLATE: Final = {"type": "string", "pattern": r"\{\{", "description": "a text with {{ … }}"}
_TEXT: Final = frozenset({"type", "pattern", "contentMediaType"})
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
    params = {name: _templated(model) for name, model in definitions["$defs"].items()}
    defs = {**params, **task.pop("$defs", {}), **fields.pop("$defs", {}), "Template": _TEMPLATE}
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


def _templated(schema: dict[str, Any]) -> dict[str, Any]:
    """Params of that form, in which a template may stand for any value, at any depth."""
    changed = dict(schema)
    for key in ("properties", "patternProperties"):
        if key in schema:
            changed[key] = {name: _or_template(value) for name, value in schema[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            changed[key] = _or_template(schema[key])
    for key in ("anyOf", "prefixItems"):
        if key in schema:
            changed[key] = [_templated(value) for value in schema[key]]
    return changed


def _or_template(schema: dict[str, Any]) -> dict[str, Any]:
    """The description and default of the value stay where editors look for them."""
    about = {key: schema[key] for key in ("title", "description", "default") if key in schema}
    if schema.keys() - about.keys() <= _TEXT:
        if not schema.get("type"):
            return schema
        if schema["type"] == "string" and schema.get("pattern") in {None, FILLED}:
            return schema
    value = _templated({key: given for key, given in schema.items() if key not in about})
    return about | {"anyOf": [value, {"$ref": "#/$defs/Template"}]}


def _narrow(fields: dict[str, Any], task: dict[str, Any]) -> None:
    """Add the rules that types alone don't have."""
    fields["properties"]["tasks"] = {
        "type": "array",
        "items": {"$ref": "#/$defs/Task"},
        "minItems": 1,
        "maxItems": limits.TASKS,
    }
    fields["required"] = [*fields["required"], "tasks"]
    task["properties"]["operator"]["enum"] = list(operator_names())
    del task["properties"]["operator"]["default"]
    task["oneOf"] = [{"required": ["operator"]}, {"required": ["script"]}]
    task["allOf"] = [_params_rule(name) for name in (*OPERATORS, *SCRIPTS)]


def _is_valid(model: type[BaseModel], params: dict[str, Any]) -> bool:
    try:
        model.model_validate(params)
    except ValidationError:
        return False
    return True


def _params_rule(operator: str) -> dict[str, Any]:
    """The rule: if a task has this operator, or a script of this engine, it has these params."""
    model = params_model(operator)
    assert model is not None  # noqa: S101  the catalogue's own names
    schema: dict[str, Any] = {
        "properties": {"params": {"anyOf": [{"$ref": f"#/$defs/{model.__name__}"}, _PYDAG_TEXT]}}
    }
    if not _is_valid(model, {}):
        schema["required"] = ["params"]
    name = (
        {"script": {"pattern": rf"\.{operator.removeprefix('script.')}\.[^.]*$"}}
        if operator in SCRIPTS
        else {"operator": {"const": operator}}
    )
    return {"if": {"properties": name, "required": list(name)}, "then": schema}
