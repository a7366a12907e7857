"""What a task's result tells of the data that it read and wrote, for lineage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST: Final = 50  # names of each


def lineage(reads: Iterable[str], writes: Iterable[str]) -> dict[str, list[str]]:
    """`reads` and `writes` of a result: tables as ``project.dataset.table``, and URIs of files.

    Only the first ones are told; without any, nothing is. Parts of a table are that table.
    """
    told = {"reads": _named(reads), "writes": _named(writes)}
    return {what: names for what, names in told.items() if names}


def _named(names: Iterable[str]) -> list[str]:
    whole = (name if "://" in name else name.partition("$")[0] for name in names)
    return list(dict.fromkeys(whole))[:MOST]
