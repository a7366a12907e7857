"""Filling parameters into a script's text: names only, never attributes, indexes or formats."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.errors import TaskFailed

# What str.format reads, too: doubled braces first, from left to right.
_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")
_BEYOND_A_NAME = re.compile(r"[.\[\]!:]")
# In Python text a value must stay what it is inside of a literal: no quotes, brackets, line ends.
_UNSAFE_IN_PYTHON = re.compile(r"[^\w .,:/@=+~-]")


@dataclass(frozen=True)
class Marked:
    """A Python text in which marks stand for parameters, which are filled in once it is parsed."""

    text: str
    shown: str  # as it stands in the script, for tracebacks
    marks: dict[str, tuple[str, Any]]  # mark -> name and value of a parameter


def fill(text: str, values: Mapping[str, Any], *, script: str) -> str:
    """`text` with ``{name}`` replaced by `values`, and ``{{``, ``}}`` by braces.

    Raises `TaskFailed` naming `script` with all its wrong placeholders and missing parameters.
    """
    return _filled(text, values, script, lambda _, value: str(value))


def marked(text: str, values: Mapping[str, Any], *, script: str) -> Marked:
    """Likewise of a Python text, with marks that nobody can have written for the parameters."""
    marks: dict[str, tuple[str, Any]] = {}
    secret = secrets.token_hex(8)

    def mark(name: str, value: Any) -> str:
        made = f"pydag_{secret}_{len(marks)}_"
        marks[made] = name, value
        return made

    made = _filled(text, values, script, mark)
    return Marked(made, _filled(text, values, script, lambda name, _: f"{{{name}}}"), marks)


def _filled(
    text: str, values: Mapping[str, Any], script: str, show: Callable[[str, Any], str]
) -> str:
    wrong: list[str] = []
    missing: dict[str, None] = {}

    def replaced(match: re.Match[str]) -> str:
        token, name = match[0], match["name"]
        if name is None and len(token) == 2:
            return token[0]
        if name is None or not name or name.isdigit() or _BEYOND_A_NAME.search(name):
            wrong.append(f"{token!r} in line {text.count(chr(10), 0, match.start()) + 1}")
        elif name in values:
            return show(name, values[name])
        elif f"*{name}" in values:  # a variable: pyDag's own texts say {*name}
            return show(name, values[f"*{name}"])
        else:
            missing[name] = None
        return token

    filled = _TOKEN.sub(replaced, text)
    problems = []
    if wrong:
        problems.append(
            f"only {{name}} is filled in, not {', '.join(wrong)} (write {{{{ and }}}} for braces)"
        )
    if missing:
        given = ", ".join(sorted(values)) or "none"
        problems.append(f"missing parameters: {', '.join(missing)} (given: {given})")
    if problems:
        raise TaskFailed(f"script {script}: {'; '.join(problems)}", final=True)
    return filled


def check_safe_in_python(values: Mapping[str, Any], *, script: str) -> None:
    """Refuse values that could become code when filled into Python text.

    Without this, whoever may submit a DAG could run anything through a trusted script.
    """
    unsafe = [name for name, value in values.items() if _UNSAFE_IN_PYTHON.search(str(value))]
    if unsafe:
        raise TaskFailed(
            f"script {script}: parameters {', '.join(unsafe)} would be filled into Python text, so "
            "they may have letters, digits, spaces and .,:/@=+~_- only",
            final=True,
        )
