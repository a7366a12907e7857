"""Locks on tables, so that jobs that write to one table take turns instead of conflicting.

Appends can run together. Whatever else writes (UPDATE, DELETE, MERGE, TRUNCATE, DDL,
WRITE_TRUNCATE) has the table alone. Readers take no lock: they see the table as it was when they
started.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Ticket:
    exclusive: bool
    changed: threading.Event = field(default_factory=threading.Event)  # it may be its turn


class Locks:
    """Shared and exclusive locks by name, first come, first served."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._tickets: dict[str, list[_Ticket]] = {}  # of a name, oldest first; held or waiting

    @contextmanager
    def hold(
        self, key: str, *, exclusive: bool, check: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Wait for the lock, and hold it within the block. `check` may raise to give up waiting.

        After a change that `check` would notice, call `wake()`.
        """
        ticket = _Ticket(exclusive)
        with self._mutex:
            self._tickets.setdefault(key, []).append(ticket)
        try:
            while self._blocked(key, ticket):
                if check is not None:
                    check()
                ticket.changed.wait()
            yield
        finally:
            self._give_up(key, ticket)

    def wake(self) -> None:
        """Make all waiters run their `check`."""
        with self._mutex:
            for tickets in self._tickets.values():
                for ticket in tickets:
                    ticket.changed.set()

    def _blocked(self, key: str, ticket: _Ticket) -> bool:
        # An older ticket is held or will be before this one, so one that conflicts blocks.
        ticket.changed.clear()
        with self._mutex:
            tickets = self._tickets[key]
            older = tickets[: tickets.index(ticket)]
            return any(other.exclusive or ticket.exclusive for other in older)

    def _give_up(self, key: str, ticket: _Ticket) -> None:
        with self._mutex:
            tickets = self._tickets[key]
            tickets.remove(ticket)
            if not tickets:
                del self._tickets[key]
            # Only those whose turn it is now: hundreds may wait.
            for at, waiter in enumerate(tickets):
                if waiter.exclusive and at > 0:
                    break
                waiter.changed.set()
