"""Awaiting a function that is `async def`, so that it can be stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from workers.pool.stopping import Stopped, stopped_by


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Its result. When the try is to stop, it is cancelled, as asyncio does at Ctrl-C."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(coroutine)
        is_asked = is_cancelled = False

        def cancel() -> None:
            nonlocal is_cancelled
            is_cancelled = task.cancel()

        def stop() -> bool:
            """False if the loop did not come to it since it was asked: something blocks it."""
            nonlocal is_asked
            if is_asked:
                return is_cancelled
            loop.call_soon_threadsafe(cancel)
            return (is_asked := True)

        with stopped_by(stop):
            try:
                return loop.run_until_complete(task)
            except asyncio.CancelledError:
                if is_cancelled:
                    raise Stopped from None
                raise
