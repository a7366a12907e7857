"""Params as a file gives them: an object, or pyDag's text of one in single quotes."""

from __future__ import annotations

from typing import Any

from pydag_dist.dag.script import single_quoted
from pydag_dist.dag.text.jsontext import Loaded, NotJson, dotted


def read_params(value: Any) -> Any:
    """The object that a params text means; anything but a text is left to the type's check.

    An empty text is an empty object, as in pyDag. Raises ValueError with all that is wrong.
    """
    if not isinstance(value, str):
        return value
    if not value.strip():
        return {}
    reason = ""
    for text in single_quoted(value):
        try:
            loaded = Loaded(text)
        except NotJson as error:
            reason = str(error)
            continue
        if not isinstance(loaded.value, dict):
            raise ValueError("must be an object")  # noqa: TRY004  pydantic collects ValueError
        if faults := [f"{dotted(path)} {message}" for path, message in loaded.faults()]:
            raise ValueError("; ".join(faults))
        return loaded.value
    raise ValueError(f"must be an object, or the text of one in single quotes; {reason}")
