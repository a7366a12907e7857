"""Flower's order to end a task reaches also what a process has gone on with."""

from __future__ import annotations

from typing import Any

from celery.utils.functional import maybe_list
from celery.worker import control
from celery.worker import state as worker_state

from workers.parent.request import TryRequest

_celerys = control.revoke


@control.control_command(  # type: ignore[untyped-decorator]  # Celery has no types
    variadic="task_id", signature="[id1 [id2 [... [idN]]]]"
)
def revoke(
    state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **kwargs: Any
) -> Any:
    """Revoke tasks by their ids; with `terminate` those that run are ended."""
    answer = _celerys(state, task_id, terminate, signal, **kwargs)
    if terminate:
        ids, pool = maybe_list(task_id) or [], state.consumer.pool
        for request in list(worker_state.active_requests):
            if isinstance(request, TryRequest) and request.terminate_next(ids, pool, signal):
                answer = control.ok(f"terminate: {', '.join(ids)}")
    return answer
