"""The rules for ids of DAGs, tasks, queues and runs. The engine's script has the same ones."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pydag_dist.dag import limits
from pydag_dist.dag.text import patterns
from pydag_dist.dag.text.quote import quote
from pydag_dist.errors import EngineError

_ID: Final = re.compile(patterns.ID.replace("$", r"\Z"))
_GROUP: Final = re.compile(r"[A-Za-z0-9_.:-]+\Z")
_NOT_IN_GROUPS: Final = re.compile(r"[^A-Za-z0-9_.:-]")
_NOT_IN_WORKERS: Final = re.compile(r"[^A-Za-z0-9_.:@+-]")


def is_id(text: object) -> bool:
    """Whether that is an id of 1 to 200 characters."""
    return isinstance(text, str) and len(text) <= limits.ID and bool(_ID.match(text))


def check_id(what: str, text: str) -> str:
    """The id itself; `EngineError` naming `what` it was meant for if it is none."""
    if not is_id(text):
        raise EngineError(
            f"{what} {quote(text)}: must be 1 to {limits.ID} of the characters "
            "A-Z a-z 0-9 _ . - and not of dots only"
        )
    return text


def check_group(text: str) -> str:
    """The name of a group of tries that one poll may ask for; `EngineError` if it is none."""
    if len(text) > limits.GROUP or not _GROUP.match(text):
        raise EngineError(
            f"group of polls {quote(text)}: must be 1 to {limits.GROUP} of the characters "
            "A-Z a-z 0-9 _ . : -"
        )
    return text


def group_name(text: str) -> str:
    """A text as the name of a group: characters that it can't have become dashes."""
    return _NOT_IN_GROUPS.sub("-", text)[: limits.GROUP]


@lru_cache(maxsize=1024)
def worker_name(text: str) -> str:
    """A worker's name as the engine keeps it: characters that it can't have become underscores."""
    return _NOT_IN_WORKERS.sub("_", text)[: limits.WORKER] or "_"
