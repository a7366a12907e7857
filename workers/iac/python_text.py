"""Python text with parameters, filled in after it was parsed: so no value can become code.

Each place has a mark in the text. Inside of a text or of bytes the mark becomes the parameter as it
is, whatever quotes or prefix the literal has. Elsewhere it must stand for a whole expression, and
becomes a number or a boolean. In a comment it becomes nothing.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

_NUMBER = re.compile(r"-?\d{1,300}(\.\d{1,300})?", re.ASCII)
_BOOLEANS = {"True": True, "False": False}


class CodeRefused(ValueError):
    """A parameter would become code."""


def parsed(text: str, file: str, marks: Mapping[str, tuple[str, Any]]) -> ast.Module:
    """The tree of a text; `marks` has the name and the value of the parameter for each mark.

    Raises `CodeRefused` if a parameter is filled in where it can't be, SyntaxError.
    """
    tree = ast.parse(text, file)
    if not marks:
        return tree
    filler = _Filler(marks)
    for parent in list(ast.walk(tree)):
        filler.fill(parent)
    return tree


class _Filler:
    def __init__(self, marks: Mapping[str, tuple[str, Any]]) -> None:
        self._marks = marks
        self._any = re.compile("|".join(map(re.escape, marks)))
        self._any_bytes = re.compile(self._any.pattern.encode())

    def fill(self, parent: ast.AST) -> None:
        """Fill in what stands directly in a node."""
        if isinstance(parent, ast.Constant):
            parent.value = self._constant(parent.value)
            return
        if self._is_mark(parent):
            return  # its own parent has another node by now
        for field, value in ast.iter_fields(parent):
            if isinstance(value, ast.AST) and self._is_mark(value):
                setattr(parent, field, self._number(value))
            elif isinstance(value, list):
                items = [self._number(item) if self._is_mark(item) else item for item in value]
                setattr(parent, field, items)
            for name in _names(value):
                if found := self._any.search(name):
                    self._refuse(found[0], parent, "a name")

    def _is_mark(self, node: Any) -> bool:
        return isinstance(node, ast.Name) and node.id in self._marks

    def _constant(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._any.sub(lambda found: str(self._marks[found[0]][1]), value)
        if isinstance(value, bytes):
            return self._any_bytes.sub(
                lambda found: str(self._marks[found[0].decode()][1]).encode(), value
            )
        return value

    def _number(self, node: Any) -> ast.Constant:
        value = self._marks[node.id][1]
        if isinstance(value, str):
            if value in _BOOLEANS:
                value = _BOOLEANS[value]
            elif _NUMBER.fullmatch(value):
                value = float(value) if "." in value else int(value)
        is_number = isinstance(value, int | float) and math.isfinite(value)
        if not is_number or not isinstance(node.ctx, ast.Load):
            self._refuse(node.id, node, "code")
        return ast.copy_location(ast.Constant(value), node)

    def _refuse(self, mark: str, node: ast.AST, where: str) -> None:
        name, _ = self._marks[mark]
        line = getattr(node, "lineno", None)
        raise CodeRefused(
            f"parameter {name} is filled into {where}{f' in line {line}' if line else ''}: outside "
            'of quotes it may be a number or a boolean only, so write "{'
            + name
            + '}" in the script'
        )


def _names(value: Any) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            yield item
