"""Many sensors and Dataproc jobs on two slots, while another DAG's quick tasks are not held up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import wait_until
from tests.support.cluster import Cluster
from tests.support.local_google import CLUSTER, REGION, LocalDataproc, cloud_storage, storage_client

SENSORS = 200
JOBS = 20
# Ends when the test says so.
SCRIPT = """
import pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.1)
"""


@pytest.fixture
def gcs_url(tmp_path: Path) -> Iterator[str]:
    with cloud_storage(tmp_path) as url:
        yield url


@pytest.fixture
def dataproc(tmp_path: Path, gcs_url: str) -> Iterator[LocalDataproc]:
    service = LocalDataproc(tmp_path, gcs_url, jobs=4).start()
    service.create_cluster()
    yield service
    service.close()


def test_they_hold_no_slot_while_they_wait(
    cluster: Cluster, dataproc: LocalDataproc, gcs_url: str
) -> None:
    bucket = storage_client(gcs_url).create_bucket("inbox")
    script = dataproc.upload("wait.py", SCRIPT)
    go = cluster.directory / "go"
    cluster.coordinator()
    services = {"DATAPROC_EMULATOR_HOST": dataproc.address, "STORAGE_EMULATOR_HOST": gcs_url}
    worker = cluster.celery_worker("-Q", "gcs,dataproc,python", wait=False, **services)
    cluster.wait_registered(worker, "gcs")
    place = {"region": REGION, "cluster_name": CLUSTER}
    waiting = cluster.submit(
        [
            *(
                task(f"object-{n}", "gcs.wait_object", object=f"gs://inbox/in/{n:04}")
                for n in range(SENSORS)
            ),
            *(
                task(
                    f"job-{n}",
                    "dataproc.submit_job",
                    main_python_file_uri=script,
                    args=[str(go)],
                    **place,
                )
                for n in range(JOBS)
            ),
        ]
    )

    def states() -> Counter[str]:
        tasks = cluster.engine.reading.snapshot(waiting.id).tasks
        return Counter(one.state for one in tasks.values())

    wait_until(lambda: states()["deferred"] >= SENSORS, "the sensors wait")
    quick = cluster.submit([cluster.task(f"quick-{n}", "note") for n in range(20)])
    assert cluster.wait_ended(quick).state == "success"
    assert states()["success"] == 0
    wait_until(lambda: states()["deferred"] == SENSORS + JOBS, "all wait")
    for number in range(SENSORS):
        bucket.blob(f"in/{number:04}").upload_from_string(str(number))
    go.touch()
    snapshot = cluster.wait_ended(waiting)
    assert snapshot.state == "success"
    assert snapshot.tasks["object-7"].result["objects"] == ["gs://inbox/in/0007"]
    assert Counter(line["kind"] for line in dataproc.journal()) == {"pyspark": JOBS}
    cluster.assert_nothing_left([waiting, quick])


def task(task_id: str, operator: str, **params: Any) -> dict[str, Any]:
    return {"task_id": task_id, "operator": operator, "params": params}
