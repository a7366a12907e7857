"""The events that a worker publishes for Flower: of tries and not of polls, and in batches."""

from __future__ import annotations

from typing import Any, Final

from celery import bootsteps
from celery.events.dispatcher import EventDispatcher

# How the ids of poll messages begin (queue.lua), and no other's: "*" is no run's id.
POLL: Final = "*/"

EVENTS_EVERY = 0.2  # seconds
EVENTS_A_BATCH = 500


class TryEvents(EventDispatcher):  # type: ignore[misc]  # Celery has no types
    """Celery's dispatcher without the events of polls."""

    def send(self, type: str, *args: Any, **fields: Any) -> Any:  # noqa: A002  Celery's name
        """Send an event, unless it is about a poll."""
        if not str(fields.get("uuid", "")).startswith(POLL):
            super().send(type, *args, **fields)


class EventBatches(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Publishes events a few times a second instead of in every turn of the worker's loop.

    One publish an event is half of a busy parent's CPU time.
    """

    requires = ("celery.worker.consumer.events:Events",)

    def start(self, consumer: Any) -> None:
        """Replace the dispatcher's flush at every event by a timer."""
        dispatcher = consumer.event_dispatcher
        dispatcher.on_send_buffered = None
        dispatcher.buffer_limit = EVENTS_A_BATCH
        consumer.timer.call_repeatedly(EVENTS_EVERY, dispatcher.flush)

    def stop(self, consumer: Any) -> None:
        """Publish what is left."""
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()
