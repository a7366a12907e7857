"""The DAG chord: Celery's chord protocol over the engine instead of Celery's counting.

A chord of Celery has one join, a DAG has many that overlap. So every DAG task's message carries
the chord callback ``pydag.release(run, task, try)``; when the task ends, Celery calls
`on_chord_part_return`, in the child for an outcome, in the worker's parent when the child is
gone, and that runs the callback in place: one atomic script records the outcome, decides every
join that the task is part of, and pushes what became ready.
"""

from __future__ import annotations

from typing import Any

from celery.backends.redis import RedisBackend

from pydag_dist.engine.celery.messages import RELEASE


def is_dag_task(task_id: str, request: Any = None) -> bool:
    """Whether a Celery task is a try of a DAG's task: its id is ``run/task/try``."""
    return getattr(request, "pydag", None) is not None or task_id.count("/") == 2


class DagBackend(RedisBackend):  # type: ignore[misc]  # Celery has no types
    """Celery's Redis backend, but for tries of DAG tasks: the engine keeps their state.

    Loaded by URL: ``pydag_dist.engine.celery.chord:DagBackend+redis://…``.
    """

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """Run the chord callback of a DAG's task in place; other chords are Celery's."""
        callback = request.chord
        if getattr(request, "pydag", None) is None or callback["task"] != RELEASE:
            super().on_chord_part_return(request, state, result, **kwargs)
            return
        self.app.tasks[RELEASE].in_place(request, state, result)

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Nothing for a DAG's task: its outcome is in the engine."""
        if is_dag_task(task_id, request):
            return result
        return super().store_result(task_id, result, state, traceback, request, **kwargs)

    def _get_task_meta_for(self, task_id: str) -> Any:
        # Celery's parent asks for it when a child died, to see whether a success was stored.
        if is_dag_task(task_id):
            return {"status": "PENDING", "result": None}
        return super()._get_task_meta_for(task_id)
