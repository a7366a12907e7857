"""What a worker tells Flower: the tries of tasks, and not its polls, which are many for each."""

from __future__ import annotations

from typing import Any, Final

from celery.events.dispatcher import EventDispatcher

# How the ids of poll messages begin (queue.lua), and no other's: "*" is no run's id.
POLL: Final = "*/"


class TryEvents(EventDispatcher):  # type: ignore[misc]  # Celery has no types
    """Celery's dispatcher without the events of polls."""

    def send(self, type: str, *args: Any, **fields: Any) -> Any:  # noqa: A002  Celery's name
        """Send an event, unless it is about a poll."""
        if not str(fields.get("uuid", "")).startswith(POLL):
            super().send(type, *args, **fields)
