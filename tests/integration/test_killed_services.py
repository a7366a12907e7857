"""Redis and the coordinator killed at any moment of each remote job: each effect is there once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from google.api_core.exceptions import NotFound

from pydag_dist.engine import RunSnapshot
from tests.faults.dies_at import MOMENTS
from tests.faults.dies_in_google import AFTER_A_CALL
from tests.integration.test_killed_dataproc import nap, seconds, task
from tests.integration.test_killed_jobs import EXTRACT, LOAD, PEOPLE, QUERY, jobs, rows
from tests.support import wait_until
from tests.support.cluster import Cluster
from tests.support.local_bigquery import PROJECT, LocalBigQuery
from tests.support.local_google import REGION, SCOPE, LocalDataproc, cloud_storage, storage_client
from tests.support.redis_server import RedisServer, server_binary

pytestmark = pytest.mark.short_lease


class Mortal:
    """An installation whose Redis and coordinator are killed together, and started again."""

    def __init__(self, cluster: Cluster, server: RedisServer) -> None:
        self.cluster = cluster
        self._server = server
        self._victims = cluster.directory / "victims"
        self._deaths = cluster.directory / "deaths"
        self._deaths.mkdir()
        self._over = threading.Event()
        self.kills = -1  # the first start follows no kill
        self._start()
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _start(self) -> None:
        coordinator = self.cluster.coordinator()
        self.kills += 1
        written = self._victims.with_suffix(".new")
        written.write_text(f"{self._server.pid} {coordinator.pid}")
        written.rename(self._victims)

    def _keep(self) -> None:
        while not self._over.wait(0.05):
            if not self._victims.exists():
                self._server.kill()
                self._server.start()
                self._start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def run(
        self, moment: str, queue: str, tasks: list[dict[str, Any]], **services: str
    ) -> RunSnapshot:
        """Run the tasks, with a kill at that moment of each of them."""
        names = [each["task_id"] for each in tasks]
        for name in names:
            (self._deaths / name).write_text("x")
        cluster = self.cluster
        part = cluster.celery_worker(
            *("-Q", queue, "-I", "tests.faults.dies_in_google"),
            wait=False,
            PYDAG_TEST_DIE_AT=moment,
            PYDAG_TEST_DEATHS=str(self._deaths),
            PYDAG_TEST_VICTIMS=str(self._victims),
            **services,
        )
        cluster.wait_registered(part, queue)
        submitted = cluster.submit(tasks)
        snapshot = None
        while snapshot is None:
            with suppress(redis.ConnectionError):  # it was killed
                snapshot = cluster.wait_ended(submitted, timeout=150)
        assert snapshot.state == "success", {
            name: one.error for name, one in snapshot.tasks.items()
        }
        assert [(self._deaths / name).read_text() for name in names] == [""] * len(names)
        wait_until(lambda: self.kills == len(names), "the last that were killed are back")
        assert {one.try_number for one in snapshot.tasks.values()} == {1}
        return snapshot


@pytest.fixture
def mortal(tmp_path: Path, lease: float) -> Iterator[Mortal]:
    binary = server_binary("valkey")
    with (
        RedisServer(binary, tmp_path / "redis") as server,
        Cluster(server.url, tmp_path, lease) as cluster,
    ):
        mortal = Mortal(cluster, server)
        try:
            yield mortal
        finally:
            mortal.close()


@pytest.mark.parametrize("moment", MOMENTS)
def test_bigquery_runs_each_job_once(mortal: Mortal, tmp_path: Path, moment: str) -> None:
    with cloud_storage(tmp_path) as url, LocalBigQuery(tmp_path) as bigquery:
        bucket = storage_client(url).create_bucket("people")
        for name, text in (("a", "1,ann\n2,bob\n"), ("b", "3,eve\n")):
            bucket.blob(f"in/{name}.csv").upload_from_string(text)
        with bigquery.client() as client:
            client.create_dataset("killed")
            client.query_and_wait(f"CREATE TABLE {PROJECT}.killed.known AS SELECT 1 AS id")
        delay = 15 if moment == "while it waits" else 1
        bigquery.fault(method="run", delay=delay, count=3)  # so that they are waited for
        snapshot = mortal.run(
            moment,
            "bigquery",
            [LOAD, QUERY, EXTRACT],
            BIGQUERY_EMULATOR_HOST=bigquery.url,
            PYDAG_WORKER_PROJECT=PROJECT,
        )
        ids = {one.result["job_id"] for one in snapshot.tasks.values()}
        assert jobs(bigquery) == dict.fromkeys(ids, "done")
        assert rows(bigquery, "people") == PEOPLE
        assert rows(bigquery, "known") == [(1,), (2,)]


@pytest.mark.parametrize("moment", MOMENTS)
def test_dataproc_has_each_cluster_job_and_batch_once(
    mortal: Mortal, tmp_path: Path, moment: str
) -> None:
    with cloud_storage(tmp_path) as url:
        dataproc = LocalDataproc(tmp_path, url, delay=seconds(moment)).start()
        try:
            script = dataproc.upload("nap.py", nap(moment))
            place = {"region": REGION, "cluster_name": "etl"}
            job = {**place, "main_python_file_uri": script}
            snapshot = mortal.run(
                moment,
                "dataproc",
                [
                    task("startup", "dataproc.create_cluster", **place),
                    task("job", "dataproc.submit_job", "startup", **job),
                    task(
                        "batch",
                        "dataproc.submit_batch",
                        region=REGION,
                        main_python_file_uri=script,
                    ),
                    task("delete", "dataproc.delete_cluster", "job", **place),
                ],
                DATAPROC_EMULATOR_HOST=dataproc.address,
                STORAGE_EMULATOR_HOST=url,
            )
            results = {name: one.result for name, one in snapshot.tasks.items()}
            ids = sorted([results["job"]["job_id"], results["batch"]["batch_id"]])
            assert sorted(line["id"] for line in dataproc.journal()) == ids
            uuid = dataproc.get(results["job"]["job_id"]).placement.cluster_uuid
            assert uuid == results["startup"]["cluster_uuid"]
            with pytest.raises(NotFound):
                dataproc.clusters.get_cluster(**SCOPE, cluster_name="etl")
        finally:
            dataproc.close()


def test_cloud_storage_has_each_object_once(mortal: Mortal, tmp_path: Path) -> None:
    with cloud_storage(tmp_path) as url:
        bucket = storage_client(url).create_bucket("bucket")
        for name in ("in/1", "in/2", "in/3"):
            bucket.blob(name).upload_from_string(name)
        copies, whole = "gs://bucket/out/", "gs://bucket/all"
        mortal.run(
            AFTER_A_CALL,
            "gcs",
            [
                task("copy", "gcs.copy", source="gs://bucket/in/", destination=copies),
                task("compose", "gcs.compose", "copy", sources=[copies], destination=whole),
                task(
                    "delete", "gcs.delete", "compose", folders=[copies], uris=["gs://bucket/in/1"]
                ),
            ],
            STORAGE_EMULATOR_HOST=url,
        )
        assert [blob.name for blob in bucket.list_blobs()] == ["all", "in/2", "in/3"]
        assert bucket.blob("all").download_as_text() == "in/1in/2in/3"
        made = (mortal.cluster.directory / "deaths" / "made").read_text().splitlines()
        assert len(made) == len(set(made))
