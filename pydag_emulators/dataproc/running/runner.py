"""Runs jobs from PENDING to a final state, with one thread for each running job."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from google.cloud.dataproc_v1 import Cluster, Job, JobStatus

from pydag_emulators.dataproc.calls.batches import ID_LABEL
from pydag_emulators.dataproc.calls.jobs import FINAL, enter
from pydag_emulators.dataproc.calls.kinds import kind_of, work_of
from pydag_emulators.dataproc.running.journal import Journal
from pydag_emulators.dataproc.running.output import DriverOutput
from pydag_emulators.dataproc.running.process import JobProcess
from pydag_emulators.dataproc.spark import submit
from pydag_emulators.dataproc.storage import Storage
from pydag_emulators.dataproc.store import JobKey, Store

State = JobStatus.State
CANCELLING = (State.CANCEL_PENDING, State.CANCEL_STARTED)
_SPARK = "/usr/lib/spark"
_MAINS = ("main_python_file_uri", "main_jar_file_uri", "query_file_uri")
NEVER_STARTED = "Job was cancelled before it started."
LOOK = 0.1  # seconds between two looks at a process
PUBLISH = 1.0  # seconds between two uploads of its output
LAST_PUBLISH = 5.0  # seconds to wait for Cloud Storage with the last of them

log = logging.getLogger(__name__)


class Runner:
    """Runs at most `slots` jobs at a time; the others stay PENDING, in the order they came."""

    def __init__(
        self,
        data: Path,
        store: Store,
        storage: Storage,
        settings: submit.SparkSettings,
        slots: int,
    ) -> None:
        self._jobs = data / "jobs"
        self._store = store
        self._storage = storage
        self._settings = settings
        self._journal = Journal(data / "journal.jsonl")
        self._pool = ThreadPoolExecutor(slots, "dataproc-job")
        self._stopped = threading.Event()
        # Held while a process is started and while a job that has none is ended, so that no
        # process begins for a job that has just ended.
        self._gate = threading.Lock()

    def resume(self) -> None:
        """Go on where an earlier service stopped or was killed."""
        for key in self._store.jobs_to_journal():
            job = self._store.job(key)
            if job:
                self._wrap_up(key, job, repeated=True)
        for key in self._store.active_jobs():
            self.start(key)

    def start(self, key: JobKey) -> None:
        """Take a job that the store has."""
        with contextlib.suppress(RuntimeError):  # stopping: `stop` ends what is still active
            self._pool.submit(self._run, key)

    def end_jobs(self, cluster: Cluster) -> None:
        """End the active jobs of a cluster that is being deleted or stopped."""
        why = f"Cluster '{cluster.cluster_name}' was deleted or stopped before the job ended."
        for key in self._store.active_jobs():
            job = self._store.job(key)
            if job and job.placement.cluster_uuid == cluster.cluster_uuid:
                self._end(key, why)

    def cancel(self, key: JobKey) -> None:
        """Cancel a job that has no thread yet, and whose cancellation the store has."""
        job = self._store.job(key)
        with self._gate:
            if job and not self._process(job).began():
                self._finish(key, State.CANCELLED, NEVER_STARTED)

    def stop(self) -> None:
        """End every job; when this returns, no process that the service started is left."""
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)
        for key in self._store.active_jobs():
            self._end(key, "The local Dataproc was stopped before the job ended.")

    def _end(self, key: JobKey, why: str) -> None:
        with self._gate:
            self._finish(key, State.ERROR, why)

    def _run(self, key: JobKey) -> None:
        try:
            self._carry_out(key)
        except Exception as error:
            # A job that ended meanwhile took its directory away. For any other, a bug or a full
            # disk must not leave it RUNNING for ever.
            job = self._store.job(key)
            if job and job.status.state not in FINAL:
                log.exception("%s", key)
                self._end(key, f"The local Dataproc failed: {error!r}")

    def _carry_out(self, key: JobKey) -> None:
        job = self._store.job(key)
        if job is None or job.status.state in FINAL:
            return
        process = self._process(job)
        if not process.began() and not self._begin(key, job, process):
            return
        self._enter(key, State.RUNNING)
        self._store.mark_ran(key)
        output = DriverOutput(process.output, job.driver_output_resource_uri, self._storage)
        self._watch(key, process, output)
        if self._stopped.is_set() and process.alive():
            return  # `stop` ends it
        output.try_to_publish(timeout=LAST_PUBLISH)
        status = process.exit_status()
        if status == 0:
            self._finish(key, State.DONE)
        elif status is None and self._is_cancelled(key):
            self._finish(key, State.CANCELLED, "Job was cancelled.")
        else:
            self._finish(key, State.ERROR, _failure(job, output, status))

    def _begin(self, key: JobKey, job: Job, process: JobProcess) -> bool:
        """Fetch the job's files and start its process; False if it ended before that."""
        shutil.rmtree(process.directory, ignore_errors=True)
        process.directory.mkdir(parents=True)
        try:
            files = self._fetch(job, process.directory)
        except FileNotFoundError as missing:
            process.output.write_text(f"File not found: {missing}\n")
            output = DriverOutput(process.output, job.driver_output_resource_uri, self._storage)
            output.try_to_publish(timeout=LAST_PUBLISH)
            self._finish(key, State.ERROR, f"File not found: {missing}")
            return False
        submit.write_log_settings(job, process.directory)
        command = submit.command(self._settings, job, files, process.directory)
        environment = submit.environment(self._settings, job, process.directory)
        with self._gate:
            if not self._enter(key, State.SETUP_DONE):
                self._finish(key, State.CANCELLED, NEVER_STARTED)
                return False
            process.start(command, environment)
        return True

    def _watch(self, key: JobKey, process: JobProcess, output: DriverOutput) -> None:
        """Wait for the end of the process or of the service; kill a process that is cancelled."""
        publish_at = 0.0
        while process.alive() and not self._stopped.wait(LOOK):
            if self._is_cancelled(key):
                self._enter(key, State.CANCEL_STARTED)
                process.kill()
            elif time.monotonic() >= publish_at:
                output.try_to_publish()
                publish_at = time.monotonic() + PUBLISH

    def _is_cancelled(self, key: JobKey) -> bool:
        job = self._store.job(key)
        return job is not None and job.status.state in CANCELLING

    def _enter(self, key: JobKey, state: int) -> bool:
        """Change an active job's state; False if its cancellation is under way."""
        with self._store.transaction():
            job = self._store.job(key)
            if job is None or job.status.state in FINAL:
                return False
            if job.status.state in CANCELLING and state != State.CANCEL_STARTED:
                return False
            enter(job, state)
            self._store.update_job(key, job, active=True)
            return True

    def _finish(self, key: JobKey, state: int, details: str = "") -> None:
        with self._store.transaction():
            job = self._store.job(key)
            if job is None or job.status.state in FINAL:
                return
            if self._process(job).began():
                self._store.mark_ran(key)
            enter(job, state, details)
            self._store.update_job(key, job, active=False)
        self._wrap_up(key, job, repeated=False)

    def _wrap_up(self, key: JobKey, job: Job, *, repeated: bool) -> None:
        """Write the journal's line of an ended job, and delete its files."""
        process = self._process(job)
        process.kill()
        if process.began() and not (repeated and self._journal.has(job.job_uuid)):
            self._journal.append(_record(key, job, process.directory))
        self._store.mark_journaled(key)
        shutil.rmtree(process.directory, ignore_errors=True)

    def _process(self, job: Job) -> JobProcess:
        return JobProcess(self._jobs / job.job_uuid)

    def _fetch(self, job: Job, directory: Path) -> submit.LocalFiles:
        def fetch(uris: Any, below: str) -> list[str]:
            return [self._local(uri, directory / below) for uri in uris]

        work = work_of(job)
        main = next((uri for name in _MAINS if (uri := getattr(work, name, ""))), "")
        files = fetch(getattr(work, "file_uris", []), "files")
        # The driver finds them where it works, as on a cluster.
        (directory / "work").mkdir()
        for name, path in {Path(path).name: path for path in files}.items():
            (directory / "work" / name).symlink_to(path)
        return submit.LocalFiles(
            main=self._local(main, directory / "main") if main else "",
            python=fetch(getattr(work, "python_file_uris", []), "python"),
            jars=fetch(submit.wanted_jars(list(getattr(work, "jar_file_uris", []))), "jars"),
            others=files,
            archives=fetch(getattr(work, "archive_uris", []), "archives"),
        )

    def _local(self, uri: str, directory: Path) -> str:
        """The path of a file on the cluster, which is this machine, or of a fetched object."""
        if not uri.startswith("gs://"):
            path = Path(uri.removeprefix("file://"))
            if path.is_relative_to(_SPARK):  # where a cluster has it
                path = submit.spark_home() / path.relative_to(_SPARK)
            if not path.is_file():
                raise FileNotFoundError(uri)
            return str(path)
        directory.mkdir(exist_ok=True)
        return str(self._storage.download(uri, directory))


def _failure(job: Job, output: DriverOutput, status: int | None) -> str:
    """The message in Google's words: pyDag finds the address of the driver output in it."""
    reference, uri = job.reference, job.driver_output_resource_uri
    exception = output.last_exception()
    if status is None:
        exception = "The driver was killed"
    if exception:
        what = f"Job failed with message [{exception}]. Additional details can be found at:"
    else:
        what = (
            f"Google Cloud Dataproc Agent reports job failure (exit code {status}). If logs are "
            "available, they can be found at:"
        )
    folder = job.driver_control_files_uri.removeprefix("gs://")
    return (
        f"{what}\nhttps://console.cloud.google.com/dataproc/jobs/{reference.job_id}"
        f"?project={reference.project_id}\n"
        f"gcloud dataproc jobs wait '{reference.job_id}' --project '{reference.project_id}'\n"
        f"https://console.cloud.google.com/storage/browser/{folder}\n"
        f"{uri}.*"
    )


def _record(key: JobKey, job: Job, directory: Path) -> dict[str, Any]:
    states: dict[int, JobStatus] = {status.state: status for status in job.status_history}
    started = states.get(State.RUNNING) or states.get(State.SETUP_DONE) or job.status
    rows = directory / "rows"
    return {
        "id": job.labels.get(ID_LABEL, key.id),
        "uuid": job.job_uuid,
        "kind": kind_of(job).removesuffix("_job") if job.placement.cluster_name else "batch",
        "project": key.scope.project,
        "region": key.scope.region,
        "started": started.state_start_time.timestamp(),
        "ended": job.status.state_start_time.timestamp(),
        "state": job.status.state.name,
        "rows": sum(map(int, rows.read_text().split())) if rows.exists() else None,
    }
