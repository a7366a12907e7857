"""For ``celery worker -I``: as `dies_at`, in Dataproc's operators and in Cloud Storage's.

Those of Cloud Storage die at the moment "after a call": what it made is noted before, as a line in
the file `made` of ``PYDAG_TEST_DEATHS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.cloud.storage import Blob

from tests.faults.dies_at import DIRECTORY, MOMENT, die_at, mortal
from workers.operators.dataproc.batch import SubmitBatch
from workers.operators.dataproc.create import CreateCluster
from workers.operators.dataproc.delete import DeleteCluster
from workers.operators.dataproc.job import SubmitJob
from workers.operators.dataproc.workflow import RunWorkflow

AFTER_A_CALL = "after a call"


def _mortal_call(call: Callable[..., Any], task_id: str) -> Callable[..., Any]:
    def mortal_call(self: Blob, *arguments: Any, **options: Any) -> Any:
        answer = call(self, *arguments, **options)
        with (DIRECTORY / "made").open("a") as made:
            made.write(f"{task_id} {self.name} {self.generation}\n")
        die_at(AFTER_A_CALL, task_id)
        return answer

    return mortal_call


if MOMENT == AFTER_A_CALL:
    Blob.rewrite = _mortal_call(Blob.rewrite, "copy")
    Blob.compose = _mortal_call(Blob.compose, "compose")
    Blob.delete = _mortal_call(Blob.delete, "delete")
elif MOMENT:
    for _operator in (CreateCluster, DeleteCluster, RunWorkflow, SubmitBatch, SubmitJob):
        mortal(_operator)
