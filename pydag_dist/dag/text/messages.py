"""Pydantic's errors in our words: one line, with the value that is wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydag_dist.dag.text.patterns import WORDS
from pydag_dist.dag.text.quote import quote
from pydag_dist.dag.text.strict_json import HALVES

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_SAID = {"missing": "is missing", "string_unicode": HALVES[0]}
_MUST_BE = {
    "bool_type": "true or false",
    "dataclass_type": "an object",
    "dict_type": "an object",
    "float_type": "a number",
    "int_type": "an integer",
    "list_type": "a list",
    "model_type": "an object",
    "string_type": "a text",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
}


def message(error: ErrorDetails, known: Iterable[str] = ()) -> str:
    """What is wrong, without the place; `known` are the names an unknown field could mean."""
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case kind if kind in _SAID:
            text = _SAID[kind]
        case "unexpected_keyword_argument" | "extra_forbidden":
            text = f"unknown field{did_you_mean(str(error['loc'][-1]), known)}"
        case kind if kind in _MUST_BE:
            text = f"must be {_MUST_BE[kind]}, not {quote(value)}"
        case kind if kind in _BOUNDS:
            bound, words = _BOUNDS[kind]
            text = f"must be {words} {_number(context[bound])}, not {quote(value)}"
        case "finite_number":
            text = f"must be a number, not {value}"
        case "string_pattern_mismatch":
            text = f"{WORDS[context['pattern']]}, not {quote(value)}" if value else "is empty"
        case "string_too_long" | "too_long":
            noun = "characters" if isinstance(value, str) else "items"
            text = f"must have at most {context['max_length']} {noun}, not {len(value)}"
        case "enum" | "literal_error":
            text = _one_of(re.findall("'(.*?)'", context["expected"]), value)
        case "value_error":
            text = str(context["error"])
        case _:
            text = error["msg"]
    return text


def did_you_mean(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The known name that is most like `name`, as the end of a message; empty if none is."""
    matches = difflib.get_close_matches(name, known, n=1, cutoff=likeness)
    return f" (did you mean {quote(matches[0])}?)" if matches else ""


def _number(value: float) -> str:
    return f"{int(value) if value == int(value) else value:,}"


def _one_of(names: Sequence[str], value: Any) -> str:
    *first, last = map(quote, names)
    before = f"{', '.join(first)} or " if first else ""
    hint = did_you_mean(value, names) if isinstance(value, str) else ""
    return f"must be {before}{last}, not {quote(value)}{hint}"


def field_names(model: Any) -> list[str]:
    """The fields of a dataclass or pydantic model."""
    if fields := getattr(model, "model_fields", None):
        return [field.alias or name for name, field in fields.items()]
    return list(model.__dataclass_fields__)
