"""Which names files of the folder may have: such that mean the same on every system."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from pydag_dist.web.problems import Refusal

LONGEST: Final = 100  # characters of one part
DEEPEST: Final = 10  # parts
SUFFIX: Final = ".json"

# What no system takes apart, hides or changes: Windows has streams (:), devices and 8.3 names (~).
_PART: Final = re.compile(r"[^\W_][\w .+=@,()-]*")
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def parts_of(path: str) -> list[str]:
    """The parts of a file's path in the folder; refused if it may not have that path."""
    parts = path.split("/")
    for part in parts:
        if problem := _problem(part):
            raise Refusal(422, f"no file of the folder can be called so: {problem}")
    if len(parts) > DEEPEST or not path.endswith(SUFFIX):
        raise Refusal(
            422, f"a DAG file's name ends with {SUFFIX}, at most {DEEPEST - 1} folders deep"
        )
    return parts


def may_be_called(part: str) -> bool:
    """Whether a file or a folder of that name is shown."""
    return _problem(part) is None


def _problem(part: str) -> str | None:
    if not part or len(part) > LONGEST:
        return f"each part of a path has 1 to {LONGEST} characters"
    if not _PART.fullmatch(part) or part[-1] in " .":
        return (
            "a part of a path begins with a letter or a digit, and has letters, digits and "
            "_ . + = @ , ( ) - or blanks, none at its end"
        )
    if not unicodedata.is_normalized("NFC", part):
        return "it has marks that belong to the letter before"
    if _DEVICES.fullmatch(part):
        return "Windows has a device of that name"
    return None
