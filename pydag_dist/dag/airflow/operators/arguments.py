"""The arguments of an Airflow task, taken one by one: those that nobody took can be named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydag_dist.dag.airflow.templates import expression_of, in_ours, param_name
from pydag_dist.dag.airflow.things import Date, Function, Named, Result, Span, Unknown
from pydag_dist.dag.templates.texts import as_template


class NotTaken(Exception):
    """A task can't be written in ours; the message says why."""


class Arguments:
    """What is left of a task's arguments."""

    def __init__(self, given: Mapping[str, Any], macros: Mapping[str, Any]) -> None:
        self.left = dict(given)
        self._macros = macros
        self.notes: list[str] = []

    def take(self, *names: str, default: Any = None) -> Any:
        """The first of these arguments that is there, as JSON; the others are taken, too."""
        found = default
        for name in reversed(names):
            if name in self.left:
                found = self.json(self.left.pop(name), name)
        return default if found is None else found

    def text(self, *names: str, default: str = "") -> str:
        """An argument that must be a text."""
        value = self.take(*names, default=default)
        if not isinstance(value, str):
            raise NotTaken(f"{names[0]} is no text")
        return value

    def needs(self, *names: str) -> Any:
        """An argument without which there is no task."""
        value = self.take(*names)
        if value is None:
            raise NotTaken(f"it has no {names[0]}")
        return value

    def raw(self, name: str) -> Any:
        """An argument as the file has it."""
        return self.left.pop(name, None)

    def ignore(self, *names: str) -> None:
        """Take arguments that mean nothing here, and lose nothing."""
        for name in names:
            self.left.pop(name, None)

    def note(self, text: str) -> None:
        """Say what did not come over."""
        self.notes.append(text)

    def json(self, value: Any, name: str) -> Any:
        """A value of JSON, with templates for what is known only in a run."""
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                made, problem = in_ours(value, self._macros)
                if problem:
                    self.note(f"{name}: its template is not of ours, rewrite it: {problem}")
                return made
            case list():
                return [self.json(each, name) for each in value]
            case dict():
                return {str(key): self.json(each, f"{name}.{key}") for key, each in value.items()}
        return self._thing(value, name)

    def _thing(self, value: Any, name: str) -> Any:
        match value:
            case Unknown():
                return as_template(f"params.{param_name(value.name)}")
            case Result():
                return as_template(expression_of(value))
            case Date():
                return value.text
            case Span():
                return value.seconds
            case Named() if value.name.startswith("airflow"):
                return value.last
        raise NotTaken(f"{name} is {'code' if isinstance(value, Named | Function) else 'no value'}")
