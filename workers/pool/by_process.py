"""A number for each process id, in memory that a worker's parent and its pool share."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

# Linux has process ids up to this; of the memory only pages that somebody has touched cost any.
_IDS = 1 << 22


class ByProcess:
    """Of each process id a number from 0 to 255; 0 at first.

    To be made when a module is loaded: what is forked afterwards shares it.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _IDS)

    def __getitem__(self, pid: int) -> int:
        return self._memory[pid % _IDS]

    def __setitem__(self, pid: int, number: int) -> None:
        self._memory[pid % _IDS] = number

    def having(self, number: int) -> Iterator[int]:
        """The processes that have that number."""
        at = -1
        while (at := self._memory.find(bytes([number]), at + 1)) >= 0:
            yield at
