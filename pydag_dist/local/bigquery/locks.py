"""Locks on tables, so that jobs that write to one table take turns instead of conflicting.

Appends share a table; everything else that writes (UPDATE, DELETE, MERGE, TRUNCATE, DDL,
WRITE_TRUNCATE) has it alone. Readers take no lock: they see the snapshot at their start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(eq=False)
class _Ticket:
    key: str
    exclusive: bool


class Locks:
    """Shared and exclusive locks by name, first come, first served."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tickets: list[_Ticket] = []  # oldest first; held or waiting

    @contextmanager
    def hold(
        self, key: str, *, exclusive: bool, check: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Wait for the lock, hold it within the block; `check` may raise to give up waiting.

        After a change that `check` would notice, call `wake()`.
        """
        ticket = _Ticket(key, exclusive)
        with self._changed:
            self._tickets.append(ticket)
        try:
            with self._changed:
                while self._blocked(ticket):
                    if check is not None:
                        check()
                    self._changed.wait()
            yield
        finally:
            with self._changed:
                self._tickets.remove(ticket)
                self._changed.notify_all()

    def wake(self) -> None:
        """Make all waiters run their `check`."""
        with self._changed:
            self._changed.notify_all()

    def _blocked(self, ticket: _Ticket) -> bool:
        # An older ticket is held or will be before this one, so one that conflicts blocks.
        for other in self._tickets:
            if other is ticket:
                return False
            if other.key == ticket.key and (other.exclusive or ticket.exclusive):
                return True
        return False
