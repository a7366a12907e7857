"""Preconditions: https://cloud.google.com/storage/docs/request-preconditions."""

from __future__ import annotations

from collections.abc import Mapping

from pydag_emulators.gcs.errors import Refused, condition_not_met, number
from pydag_emulators.gcs.storage.objects import Check, Object

_NAMES = (
    "GenerationMatch",
    "GenerationNotMatch",
    "MetagenerationMatch",
    "MetagenerationNotMatch",
)


def check_of(query: Mapping[str, str], *, start: str = "if", read: bool = False) -> Check:
    """A function that raises unless the conditions of a request hold.

    `start` is "ifSource" for the conditions of a source. A generation of 0 means that there is no
    such object. For a `read`, the answer is a 304 if a condition such as ifGenerationNotMatch
    fails.
    """
    wanted = {
        name: number(key, query[key]) for name in _NAMES if (key := f"{start}{name}") in query
    }

    def check(found: Object | None) -> None:
        for name, expected in wanted.items():
            if name.startswith("Meta"):
                actual = found.metageneration if found else None
            else:
                actual = found.generation if found else 0
            if (actual == expected) == ("Not" in name):
                if read and "Not" in name:
                    raise Refused(304, "notModified", "")
                raise condition_not_met(f"{start}{name}={expected}, it is {actual}")

    return check
