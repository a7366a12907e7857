"""What runs on a worker host: the Celery app, the one task, operators, Google clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery

    app: Celery


def __getattr__(name: str) -> Any:
    # `celery -A workers` asks for it; whoever imports an operator needs no app.
    if name == "app":
        from workers.app import app  # noqa: PLC0415

        return app
    raise AttributeError(name)
