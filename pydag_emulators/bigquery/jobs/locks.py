"""Locks on tables, so that jobs that write to one table take turns instead of conflicting.

Appends can run together. Whatever else writes (UPDATE, DELETE, MERGE, TRUNCATE, DDL,
WRITE_TRUNCATE) has the table alone. Readers take no lock: they see the table as it was when they
started. A transaction of several statements holds its locks until its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Ticket:
    exclusive: bool
    owner: object = None  # a transaction, which keeps it for long
    held: bool = False
    changed: threading.Event = field(default_factory=threading.Event)  # it may be its turn


class Taken(Exception):
    """The lock is held by another owner."""


def _others(tickets: list[_Ticket], ticket: _Ticket) -> list[_Ticket]:
    """The older tickets that are not of the same owner."""
    older = tickets[: tickets.index(ticket)]
    return [other for other in older if ticket.owner is None or other.owner is not ticket.owner]


class Locks:
    """Shared and exclusive locks by name, first come, first served."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._tickets: dict[str, list[_Ticket]] = {}  # of a name, oldest first; held or waiting

    @contextmanager
    def hold(
        self,
        key: str,
        *,
        exclusive: bool,
        check: Callable[[], None] | None = None,
        owner: object = None,
    ) -> Iterator[None]:
        """Wait for the lock, and hold it within the block. `check` may raise to give up waiting.

        After a change that `check` would notice, call `wake()`. An `owner` may hold several locks
        of one name. It doesn't wait for another owner, as both could wait for each other.

        Raises:
            Taken: another owner holds it.
        """
        ticket = _Ticket(exclusive, owner)
        with self._mutex:
            self._enter(self._tickets.setdefault(key, []), ticket)
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
            older = _others(tickets, ticket)
            if ticket.owner is not None and any(
                other.owner is not None and (other.exclusive or ticket.exclusive) for other in older
            ):
                raise Taken(key)
            ticket.held = not any(other.exclusive or ticket.exclusive for other in older)
            return not ticket.held

    def _enter(self, tickets: list[_Ticket], ticket: _Ticket) -> None:
        """Put it last; if its owner holds another one, before those that wait."""
        held = sum(other.held for other in tickets)  # they stand in front
        has_one = ticket.owner is not None and any(o.owner is ticket.owner for o in tickets)
        tickets.insert(held if has_one else len(tickets), ticket)

    def _give_up(self, key: str, ticket: _Ticket) -> None:
        with self._mutex:
            tickets = self._tickets[key]
            tickets.remove(ticket)
            if not tickets:
                del self._tickets[key]
            # Only those whose turn it is now: hundreds may wait.
            for at, waiter in enumerate(tickets):
                if waiter.exclusive and at > 0 and _others(tickets, waiter):
                    break
                waiter.changed.set()
