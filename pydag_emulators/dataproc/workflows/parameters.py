"""The parameters of a workflow template: which fields they stand for, and their values.

https://cloud.google.com/dataproc/docs/concepts/workflows/workflow-parameters
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.cloud.dataproc_v1 import TemplateParameter, WorkflowTemplate
from google.protobuf.message import Message

from pydag_emulators.dataproc.calls.refused import Refused, invalid

NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,39}")
LONGEST = 1000  # characters of a value
_STEP = re.compile(r"\.?(?P<field>[A-Za-z_]+)|\['(?P<key>[^']*)'\]|\[(?P<index>\d+)\]")


def check_parameters(template: WorkflowTemplate) -> None:
    """Refuse parameters whose fields the template has not got, or that share a field."""
    seen: set[str] = set()
    for parameter in template.parameters:
        if not NAME.fullmatch(parameter.name):
            raise invalid(f"Invalid parameter name {parameter.name!r}: up to 40 of A-Z 0-9 _")
        if not parameter.fields:
            raise invalid(f"Parameter {parameter.name} has no fields")
        for path in parameter.fields:
            if path in seen:
                raise invalid(f"Field path {path!r} is in the lists of several parameters")
            seen.add(path)
            _Place(template, path)
        for pattern in parameter.validation.regex.regexes:
            try:
                re.compile(pattern)
            except re.error as error:
                raise invalid(f"Parameter {parameter.name}: {pattern!r}: {error}") from None


def filled(template: WorkflowTemplate, values: Mapping[str, str]) -> WorkflowTemplate:
    """A copy of the template with these values; each of its parameters must have one."""
    parameters = {parameter.name: parameter for parameter in template.parameters}
    if unknown := sorted(set(values) - set(parameters)):
        raise invalid(f"The template has no parameters {', '.join(unknown)}")
    if missing := sorted(set(parameters) - set(values)):
        raise invalid(f"No values for the parameters {', '.join(missing)}")
    made: WorkflowTemplate = WorkflowTemplate.deserialize(WorkflowTemplate.serialize(template))
    for name, value in values.items():
        _check_value(parameters[name], value)
        for path in parameters[name].fields:
            _Place(made, path).set(value)
    return made


def _check_value(parameter: TemplateParameter, value: str) -> None:
    allowed, patterns = parameter.validation.values, parameter.validation.regex
    if len(value) > LONGEST:
        raise invalid(f"The value of {parameter.name} has more than {LONGEST} characters")
    if allowed.values and value not in allowed.values:
        raise invalid(f"{parameter.name} must be one of {', '.join(allowed.values)}, not {value!r}")
    if patterns.regexes and not any(re.fullmatch(one, value) for one in patterns.regexes):
        raise invalid(f"{parameter.name}: {value!r} matches none of {', '.join(patterns.regexes)}")


class _Place:
    """A field that a path names: what holds it, and its name, key or index in there."""

    def __init__(self, template: WorkflowTemplate, path: str) -> None:
        self._path, end = path, 0
        self._holder: Any = WorkflowTemplate.pb(template)
        steps = []
        while match := _STEP.match(path, end):
            steps.append((str(match.lastgroup), str(match[str(match.lastgroup)])))
            end = match.end()
        if not steps or end != len(path):
            raise self._wrong()
        for step in steps[:-1]:
            self._holder = self._found(*step)
        self._last = steps[-1]
        found = self._found(*self._last)
        if isinstance(found, Message) or not isinstance(found, str | int):
            raise self._wrong()

    def set(self, value: str) -> None:
        """Give the field that value."""
        kind, name = self._last
        if kind == "field":
            field = self._field(name)
            is_number = isinstance(getattr(self._holder, field), int)
            if is_number and not value.isdecimal():
                raise invalid(f"{self._path} must be a number, not {value!r}")
            setattr(self._holder, field, int(value) if is_number else value)
        else:
            self._holder[int(name) if kind == "index" else name] = value

    def _found(self, kind: str, name: str) -> Any:
        """What a step leads to."""
        holder = self._holder
        try:
            if kind == "index":
                return holder[int(name)]
            if kind == "key" and hasattr(holder, "add"):  # the list of the jobs
                return next(job for job in holder if job.step_id == name)
            if kind == "key":
                return dict(holder)[name]
            field = self._field(name)
            found = getattr(holder, field)
            is_set = not isinstance(found, Message) or holder.HasField(field)
        except (LookupError, AttributeError, TypeError, ValueError, StopIteration):
            raise self._wrong() from None
        if not is_set:
            raise self._wrong()
        return found

    def _field(self, name: str) -> str:
        """The field's own name: paths have sparkJob, or pySparkJob for pyspark_job."""
        names = self._holder.DESCRIPTOR.fields_by_name
        wanted = name.replace("_", "").lower()
        return next(str(own) for own in names if own.replace("_", "") == wanted)

    def _wrong(self) -> Refused:
        return invalid(f"Invalid field path {self._path!r}: the template has no such field")
