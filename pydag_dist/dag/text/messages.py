"""Pydantic's errors in our words: one line, with the value that is wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydag_dist.dag.text.patterns import WORDS
from pydag_dist.dag.text.quote import quote
from pydag_dist.dag.text.strict_json import HALVES

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_SAID = {"missing": "is missing", "string_unicode": HALVES[0]}
_MUST_BE = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dataclass_type": "an object",
    "datetime_from_date_parsing": "a time, such as 2026-01-31T06:00:00Z",
    "dict_type": "an object",
    "finite_number": "a number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
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


def message(error: ErrorDetails, known: Iterable[str] = (), *, with_value: bool = True) -> str:
    """What is wrong, without the place; `known` are the names an unknown field could mean.

    Without its value if that may be a secret, or long.
    """
    value, context = error.get("input"), error.get("ctx", {})
    match error["type"]:
        case kind if kind in _SAID:
            text = _SAID[kind]
        case "unexpected_keyword_argument" | "extra_forbidden":
            text = f"unknown field{did_you_mean(str(error['loc'][-1]), known)}"
        case "string_pattern_mismatch" if value == "":
            text = "is empty"
        case "string_too_long" | "too_long" as kind:
            noun = "items" if kind == "too_long" else "characters"
            text = f"must have at most {context['max_length']} {noun}"
            text += f", not {len(value)}" if with_value else ""
        case "finite_number" if with_value:
            text = f"must be a number, not {value}"
        case "value_error":
            text = str(context["error"])
        case kind:
            text = _demand(kind, context)
            if not text:
                text = error["msg"]
            elif with_value:
                hint = did_you_mean(value, _choices(context)) if isinstance(value, str) else ""
                text = f"{text}, not {quote(value)}{hint}"
    return text


def _demand(kind: str, context: Mapping[str, Any]) -> str:
    """What the value must be; empty if that is not all to say."""
    if kind in _MUST_BE:
        return f"must be {_MUST_BE[kind]}"
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"must be {words} {_number(context[bound])}"
    if kind == "string_pattern_mismatch":
        return WORDS.get(context["pattern"], f"must fit {context['pattern']}")
    if kind in {"enum", "literal_error"}:
        *first, last = map(quote, _choices(context))
        before = f"{', '.join(first)} or " if first else ""
        return f"must be {before}{last}"
    return ""


def _choices(context: Mapping[str, Any]) -> list[str]:
    return re.findall("'(.*?)'", context.get("expected", ""))


def did_you_mean(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The known name that is most like `name`, as the end of a message; empty if none is."""
    matches = difflib.get_close_matches(name, known, n=1, cutoff=likeness)
    return f" (did you mean {quote(matches[0])}?)" if matches else ""


def _number(value: float) -> str:
    return f"{int(value) if value == int(value) else value:,}"


def field_names(model: Any) -> list[str]:
    """The fields of a dataclass or pydantic model."""
    if fields := getattr(model, "model_fields", None):
        return [field.alias or name for name, field in fields.items()]
    return list(model.__dataclass_fields__)
