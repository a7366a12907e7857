"""Params that pyDag's files have as a text in single quotes, changed within that text."""

from __future__ import annotations

from typing import Any, Final

from pydag_dist.dag.editing.changes import Change, applied
from pydag_dist.dag.editing.rewriting import rewritten, same
from pydag_dist.dag.editing.style import Style
from pydag_dist.dag.params.single_quoted import read_params
from pydag_dist.dag.text.strict_json import Loaded, NotJson

_SWAPPED: Final = str.maketrans({'"': "'"})


def with_params(text: str, params: dict[str, Any]) -> str:
    """The text with these params in it, in the text's own quotes; what is the same stays."""
    if _is_json(text):
        return applied(text, rewritten(text, params))
    # With other quotes it is JSON of the same length, as pyDag reads it.
    as_json = text.replace("'", '"')
    if _is_json(as_json):
        found = rewritten(as_json, params, no_quotes=True)
        changes = [Change(*each[:2], each.text.translate(_SWAPPED)) for each in found]
        if _reads_as(made := applied(text, changes), params):
            return made
    return Style(no_quotes=True, colon=":").flat(params).translate(_SWAPPED)


def _is_json(text: str) -> bool:
    try:
        return isinstance(Loaded(text).value, dict)
    except NotJson:
        return False


def _reads_as(text: str, params: dict[str, Any]) -> bool:
    try:
        return same(read_params(text), params)
    except ValueError:
        return False
