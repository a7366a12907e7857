"""Dataproc and Cloud Storage when the worker's child is killed, at any moment: each effect once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.dies_at import MOMENTS
from tests.faults.dies_in_google import AFTER_A_CALL
from tests.support.cluster import Cluster, Part
from tests.support.local_google import REGION, SCOPE, LocalDataproc, cloud_storage, storage_client

pytestmark = pytest.mark.short_lease

TASKS = ("startup", "job", "batch", "flow", "delete")


def seconds(moment: str) -> float:
    """What each takes: so long that it is met while it waits, if it is to be killed then."""
    return 6.0 if moment == "while it waits" else 1.5


def nap(moment: str) -> str:
    """A job's script."""
    return (
        f"import time\nprint('begun', flush=True)\ntime.sleep({seconds(moment)})\nprint('over')\n"
    )


@pytest.fixture
def gcs_url(tmp_path: Path) -> Iterator[str]:
    with cloud_storage(tmp_path) as url:
        yield url


@pytest.fixture
def dataproc(tmp_path: Path, gcs_url: str, moment: str) -> Iterator[LocalDataproc]:
    service = LocalDataproc(tmp_path, gcs_url, delay=seconds(moment)).start()
    yield service
    service.close()


def worker(cluster: Cluster, queue: str, moment: str, *tasks: str, **services: str) -> Part:
    """A worker whose children die at that moment, once for each task."""
    directory = cluster.directory / "deaths"
    directory.mkdir()
    for task in tasks:
        (directory / task).write_text("x")
    env = {"PYDAG_TEST_DIE_AT": moment, "PYDAG_TEST_DEATHS": str(directory), **services}
    part = cluster.celery_worker(
        "-Q", queue, "-I", "tests.faults.dies_in_google", wait=False, **env
    )
    cluster.wait_registered(part, queue)
    return part


def deaths(cluster: Cluster, *tasks: str) -> dict[str, str]:
    return {task: (cluster.directory / "deaths" / task).read_text() for task in tasks}


def task(task_id: str, operator: str, *after: str, **params: Any) -> dict[str, Any]:
    return {"task_id": task_id, "operator": operator, "params": params, "dependencies": after}


@pytest.mark.parametrize("moment", MOMENTS)
def test_each_cluster_job_and_batch_is_there_once(
    cluster: Cluster, dataproc: LocalDataproc, gcs_url: str, moment: str
) -> None:
    script = dataproc.upload("nap.py", nap(moment))
    place = {"region": REGION, "cluster_name": "etl"}
    flow = {
        "placement": {"managed_cluster": {"cluster_name": "own", "config": {}}},
        "jobs": [{"step_id": "one", "pyspark_job": {"main_python_file_uri": script}}],
    }
    cluster.coordinator()
    worker(
        cluster,
        "dataproc",
        moment,
        *TASKS,
        DATAPROC_EMULATOR_HOST=dataproc.address,
        STORAGE_EMULATOR_HOST=gcs_url,
    )
    run = cluster.submit(
        [
            task("startup", "dataproc.create_cluster", **place),
            task("job", "dataproc.submit_job", "startup", **place, main_python_file_uri=script),
            task("batch", "dataproc.submit_batch", region=REGION, main_python_file_uri=script),
            task("flow", "dataproc.workflow_template", region=REGION, template=flow),
            task("delete", "dataproc.delete_cluster", "job", **place),
        ]
    )
    snapshot = cluster.wait_ended(run, timeout=150)
    assert snapshot.state == "success"
    assert deaths(cluster, *TASKS) == dict.fromkeys(TASKS, "")
    assert {name: one.try_number for name, one in snapshot.tasks.items()} == dict.fromkeys(TASKS, 1)
    results = {name: one.result for name, one in snapshot.tasks.items()}
    own = results["flow"]["jobs"].values()
    ids = sorted([results["job"]["job_id"], results["batch"]["batch_id"], *own])
    assert sorted(line["id"] for line in dataproc.journal()) == ids
    assert (
        dataproc.get(results["job"]["job_id"]).placement.cluster_uuid
        == (results["startup"]["cluster_uuid"])
    )
    assert list(dataproc.clusters.list_clusters(**SCOPE)) == []
    cluster.assert_nothing_left([run])


def test_each_object_is_made_once(cluster: Cluster, gcs_url: str) -> None:
    bucket = storage_client(gcs_url).create_bucket("bucket")
    for name in ("in/1", "in/2", "in/3"):
        bucket.blob(name).upload_from_string(name)
    cluster.coordinator()
    tasks = ("copy", "compose", "delete")
    worker(cluster, "gcs", AFTER_A_CALL, *tasks, STORAGE_EMULATOR_HOST=gcs_url)
    run = cluster.submit(
        [
            task("copy", "gcs.copy", source="gs://bucket/in/", destination="gs://bucket/out/"),
            task(
                "compose",
                "gcs.compose",
                "copy",
                sources=["gs://bucket/out/"],
                destination="gs://bucket/all",
            ),
            task(
                "delete",
                "gcs.delete",
                "compose",
                folders=["gs://bucket/out/"],
                uris=["gs://bucket/in/1"],
            ),
        ]
    )
    snapshot = cluster.wait_ended(run)
    assert snapshot.state == "success"
    assert deaths(cluster, *tasks) == dict.fromkeys(tasks, "")
    assert [blob.name for blob in bucket.list_blobs()] == ["all", "in/2", "in/3"]
    assert bucket.blob("all").download_as_text() == "in/1in/2in/3"
    made = (cluster.directory / "deaths" / "made").read_text().splitlines()
    composed = [line for line in made if line.startswith("compose ")]
    assert composed == [f"compose all {bucket.get_blob('all').generation}"]
    # Of each copy there is one generation, however many calls were under way at the death.
    copied = [line.split()[1] for line in made if line.startswith("copy ")]
    assert sorted(set(copied)) == sorted(copied)
    cluster.assert_nothing_left([run])
