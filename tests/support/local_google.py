"""Local Cloud Storage and Dataproc as processes, and official clients of them."""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import grpc
import requests
from google.api_core.exceptions import NotFound
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataproc_v1
from google.cloud.storage import Client as StorageClient

from tests.support import free_port, wait_until, warm
from tests.support.process import Process

ROOT = Path(__file__).parents[2]
PROJECT = "local-project"
REGION = "us-central1"
SCOPE = {"project_id": PROJECT, "region": REGION}
LOCATION = f"projects/{PROJECT}/locations/{REGION}"
CLUSTER = "cluster-1"
FINAL = ("DONE", "ERROR", "CANCELLED")
QUICK = Retry(initial=0.05, maximum=0.3, predicate=lambda _: True)


@contextmanager
def cloud_storage(directory: Path, port: int | None = None) -> Iterator[str]:
    """The URL of a server over `directory`/gcs."""
    with storage_process(directory, port) as (url, _):
        yield url


@contextmanager
def storage_process(
    directory: Path, port: int | None = None, *, wait: bool = True
) -> Iterator[tuple[str, Process]]:
    """The URL and the process of a server over `directory`/gcs."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "pydag_emulators.gcs", "--port", str(port)]
    command += ["--data", str(directory / "gcs")]
    with Process(command, directory / "gcs.log") as server:
        if wait:
            server.wait_until(lambda: healthy(url), "Cloud Storage answers")
        yield url, server


def healthy(url: str) -> bool:
    """Whether the server at `url` answers."""
    try:
        return requests.get(f"{url}/-/health", timeout=5).ok
    except requests.ConnectionError:
        return False


def storage_client(url: str) -> StorageClient:
    return StorageClient(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": url},
    )


class LocalDataproc(Process):
    """The service as a process, on the same port and data whenever it is started again."""

    def __init__(
        self,
        directory: Path,
        gcs_url: str,
        *,
        bigquery_url: str = "http://127.0.0.1:1",
        with_spark: bool = False,
        delay: float = 0.0,
        jobs: int = 4,
    ) -> None:
        self.data = directory / "dataproc"
        self.address = f"127.0.0.1:{free_port()}"
        module = "pydag_emulators.dataproc" if with_spark else warm.WITHOUT_SPARK
        options = {
            "port": self.address.rpartition(":")[2],
            "data": self.data,
            "gcs-root": directory / "gcs",
            "gcs-url": gcs_url,
            "bigquery-url": bigquery_url,
            "cluster-delay": delay,
            "max-jobs": jobs,
        }
        arguments = [f"--{option}={value}" for option, value in options.items()]
        command = [sys.executable, "-m", module, *arguments]
        super().__init__(command, directory / "dataproc.log", cwd=ROOT)
        self._storage = storage_client(gcs_url)
        clusters = dataproc_v1.ClusterControllerClient.get_transport_class("grpc")
        jobs_transport = dataproc_v1.JobControllerClient.get_transport_class("grpc")
        self._channel = grpc.insecure_channel(
            self.address, options=[("grpc.max_reconnect_backoff_ms", 200)]
        )
        self.clusters = dataproc_v1.ClusterControllerClient(
            transport=clusters(channel=self._channel)
        )
        self.jobs = dataproc_v1.JobControllerClient(transport=jobs_transport(channel=self._channel))
        batches = dataproc_v1.BatchControllerClient.get_transport_class("grpc")
        self.batches = dataproc_v1.BatchControllerClient(transport=batches(channel=self._channel))
        workflows = dataproc_v1.WorkflowTemplateServiceClient.get_transport_class("grpc")
        self.workflows = dataproc_v1.WorkflowTemplateServiceClient(
            transport=workflows(channel=self._channel)
        )

    @property
    def channel(self) -> grpc.Channel:
        return self._channel

    def start(self) -> Self:
        """Start the service; an AssertionError with its log if it ends instead."""
        super().start()
        self.wait_line(f"listening on {self.address}")
        return self

    def kill(self) -> None:
        """Kill -9 the service alone."""
        self.end(signal.SIGKILL)

    def stop(self) -> None:
        if self._process is not None:
            self.end()

    def close(self) -> None:
        self.stop()
        for job in (self.data / "jobs").glob("*/pid"):  # of a service that was killed for good
            os.killpg(int(job.read_text()), signal.SIGKILL)
        self._channel.close()

    def faults(self, *faults: tuple[str, str]) -> None:
        """The next calls of these methods (GetJob, …) get these codes; the service has no Spark."""
        (self.data / "faults.json").write_text(json.dumps(faults))

    def faults_left(self) -> list[list[str]]:
        """Those that met no call yet."""
        left: list[list[str]] = json.loads((self.data / "faults.json").read_text())
        return left

    def create_cluster(self, name: str = CLUSTER, **fields: Any) -> dataproc_v1.Cluster:
        operation = self.clusters.create_cluster(
            **SCOPE, cluster={"cluster_name": name, "project_id": PROJECT, **fields}
        )
        return operation.result(timeout=60, polling=QUICK)

    def upload(self, name: str, text: str) -> str:
        """A script in Cloud Storage; its URI."""
        bucket = self._storage.lookup_bucket("scripts") or self._storage.create_bucket("scripts")
        bucket.blob(name).upload_from_string(text)
        return f"gs://scripts/{name}"

    def job(
        self, text: str, *args: str, job_id: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        """What to submit to run `text`."""
        uri = self.upload(f"{uuid.uuid4()}.py", text)
        return {
            "placement": {"cluster_name": CLUSTER},
            "reference": {"job_id": job_id or ""},
            "pyspark_job": {"main_python_file_uri": uri, "args": list(args)},
            **fields,
        }

    def submit(self, text: str, *args: str, **fields: Any) -> str:
        """Submit a job; its id."""
        job = self.jobs.submit_job(**SCOPE, job=self.job(text, *args, **fields))
        return job.reference.job_id

    def create_batch(self, text: str, *args: str, batch_id: str, **fields: Any) -> Any:
        """Create a PySpark batch; its operation."""
        uri = self.upload(f"{uuid.uuid4()}.py", text)
        work = {"main_python_file_uri": uri, "args": list(args)}
        return self.batches.create_batch(
            parent=LOCATION, batch={"pyspark_batch": work, **fields}, batch_id=batch_id
        )

    def batch(self, batch_id: str) -> dataproc_v1.Batch:
        return self.batches.get_batch(name=f"{LOCATION}/batches/{batch_id}")

    def wait_for_batch(self, batch_id: str, *states: str) -> dataproc_v1.Batch:
        """The batch in one of these states, by default in a final one."""
        wanted = states or ("SUCCEEDED", "FAILED", "CANCELLED")
        wait_until(
            lambda: self.batch(batch_id).state.name in wanted,
            f"batch {batch_id} in {wanted}",
            timeout=120,
        )
        return self.batch(batch_id)

    def text_of(self, uri: str) -> str:
        """The content of an object."""
        return self.bytes_of(uri).decode()

    def bytes_of(self, uri: str) -> bytes:
        """The content of an object."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        content: bytes = self._storage.bucket(bucket).blob(name).download_as_bytes()
        return content

    def get(self, job_id: str) -> dataproc_v1.Job:
        return self.jobs.get_job(**SCOPE, job_id=job_id)

    def state(self, job_id: str) -> str:
        return self.get(job_id).status.state.name

    def wait_for(self, job_id: str, *states: str, timeout: float = 120) -> dataproc_v1.Job:
        """The job in one of these states, by default in a final one."""
        wanted = states or FINAL
        wait_until(
            lambda: self.state(job_id) in wanted, f"job {job_id} in {wanted}", timeout=timeout
        )
        return self.get(job_id)

    def output(self, job_id: str, part: int = 0) -> str:
        """The driver's output; empty if there is none yet."""
        bucket, _, name = (
            self.get(job_id).driver_output_resource_uri.removeprefix("gs://").partition("/")
        )
        # Not of one generation: the object grows while it is read.
        with suppress(NotFound):
            return self._storage.bucket(bucket).blob(f"{name}.{part:09d}").download_as_text()
        return ""

    def journal(self) -> list[dict[str, Any]]:
        file = self.data / "journal.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
