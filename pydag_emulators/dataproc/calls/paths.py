"""Names of regions, and of what is in them, as requests write them."""

from __future__ import annotations

import re

from pydag_emulators.dataproc.calls.refused import invalid
from pydag_emulators.dataproc.store import Scope

# Google takes both words for a region.
_REGION = r"projects/([^/]+)/(?:locations|regions)/([^/]+)"


def scope_of(parent: str) -> Scope:
    """The region `projects/PROJECT/regions/REGION`.

    Raises:
        Refused: INVALID_ARGUMENT.

    """
    match = re.fullmatch(_REGION, parent)
    if not match:
        raise invalid(f"Invalid parent {parent!r}: projects/PROJECT/regions/REGION")
    return Scope(match[1], match[2])


def find_id(name: str, kind: str) -> tuple[Scope, str] | None:
    """The region and the id of `REGION/kind/ID`; None if the name is not of that kind."""
    match = re.fullmatch(f"{_REGION}/{kind}/([^/]+)", name)
    return (Scope(match[1], match[2]), match[3]) if match else None


def id_of(name: str, kind: str) -> tuple[Scope, str]:
    """The region and the id of `REGION/kind/ID`.

    Raises:
        Refused: INVALID_ARGUMENT.

    """
    found = find_id(name, kind)
    if found is None:
        raise invalid(f"Invalid name {name!r}: projects/PROJECT/regions/REGION/{kind}/ID")
    return found
