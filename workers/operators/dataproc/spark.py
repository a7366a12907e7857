"""What Dataproc's jobs and batches share: what they run, and how they are submitted and polled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from google.api_core.exceptions import AlreadyExists

from pydag_dist.dag.params.dataproc import WorkParams
from workers import time_limit
from workers.contract.answer import Done, Handle, Pending
from workers.contract.context import TaskContext
from workers.errors import TaskFailed
from workers.google import answers, clients, remote_ids
from workers.google.access import access_of, connection_and_project
from workers.google.job import GoogleJob
from workers.operators.dataproc import driver_output

_FIELDS = (
    *("main_python_file_uri", "main_r_file_uri", "main_class", "main_jar_file_uri"),
    "query_file_uri",
    *("args", "python_file_uris", "jar_file_uris", "file_uris", "archive_uris"),
)


def work_of(params: WorkParams) -> dict[str, Any]:
    """The fields of a job or batch that say what it runs."""
    return {name: value for name in _FIELDS if (value := getattr(params, name))}


@dataclass(frozen=True)
class SparkRun:
    """A job or batch at one moment."""

    state: str
    over: bool
    failed: bool
    message: str  # Dataproc's own, about its end
    output_uri: str


class SparkOperator(GoogleJob):
    """A job or a batch of Dataproc's, under the id of its try; its driver's output is logged."""

    noun: ClassVar[str]  # "job" or "batch"
    service: ClassVar[remote_ids.Service]  # whose rules its id follows

    @abstractmethod
    def create(self, context: TaskContext, handle: Handle) -> None:
        """Submit the try's job, by one call; Google's `AlreadyExists` if its id is there."""

    @abstractmethod
    def run_of(self, job: Any) -> SparkRun:
        """How a job of Dataproc's is."""

    @abstractmethod
    def identity(self, handle: Handle) -> dict[str, Any]:
        """Where the job is, and the link to it: part of the task's result."""

    def local(self) -> bool:
        """Whether it goes to a Dataproc on this machine."""
        return clients.local_dataproc() is not None

    def handle_in(
        self,
        context: TaskContext,
        connection: str | None,
        project: str | None,
        **place: str,
    ) -> Handle:
        """Where this try's job is, its id, and how far its output was read."""
        job_id = remote_ids.of_try(self.service, context)
        what = f"Dataproc {self.noun} {job_id}"
        return {
            **connection_and_project(context, what, connection, project, local=self.local()),
            **place,
            f"{self.noun}_id": job_id,
            "output": driver_output.new_cursor(),
        }

    def name(self, handle: Handle) -> str:
        """What it is, with its id."""
        return f"Dataproc {self.noun} {self.id_of(handle)}"

    def id_of(self, handle: Handle) -> Hashable:
        """Ids are unique within a project's region."""
        return str(handle[f"{self.noun}_id"])

    def params_of_polls(self, context: TaskContext) -> dict[str, Any]:  # noqa: ARG002
        """None: the handle says it all."""
        return {}

    def submit(self, context: TaskContext) -> Handle:
        """Submit it; if its id is there, it is this try's own."""
        handle = self.handle(context)
        name = self.name(handle)
        with answers.explained(of=name):
            try:
                self.create(context, handle)
            except AlreadyExists:
                context.log.info("found %s, which this try submitted", name)
        return handle

    def poll(self, context: TaskContext, handle: Handle) -> Pending | Done:
        """Ask for it, and log what its driver has printed since."""
        with answers.asking(of=self.name(handle)):
            job = self.job(context, handle)
        return self.progress(context, handle, job)

    def progress(self, context: TaskContext, handle: Handle, job: Any) -> Pending | Done:
        """How it comes along; logs what its driver has printed since."""
        run, output = self.run_of(job), handle["output"]
        if run.output_uri:
            access = access_of(context, handle)
            driver_output.follow(context, access, run.output_uri, output, over=run.over)
            if run.over and time_limit.is_out():
                state = f"{run.state}, its output is being read"
                return Pending(f"Dataproc {self.noun} {state}")
        if run.failed:
            last = driver_output.last_lines(output)
            why = f"ended as {run.state}: {run.message} ({self.name(handle)})\n{last}"
            raise TaskFailed(why.strip())
        if not run.over:
            return Pending(f"Dataproc {self.noun} {run.state}")
        found = {f"{self.noun}_id": handle[f"{self.noun}_id"], "project": handle["project"]}
        return Done({**found, **self.identity(handle), "driver_output": run.output_uri})

    def ended(self, job: Any) -> bool | None:
        """Whether it has ended well; None if it has not ended."""
        run = self.run_of(job)
        return not run.failed if run.over else None
