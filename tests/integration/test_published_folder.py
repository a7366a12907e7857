"""A folder that a real coordinator publishes, and what its schedules start there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.support import wait_until
from tests.support.cluster import Cluster


def test_a_coordinator_publishes_its_folder_and_starts_what_is_due(
    cluster: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()

    def write(name: str, fields: dict[str, Any]) -> Path:
        file = folder / name
        file.with_suffix(".new").write_text(json.dumps(fields))
        return file.with_suffix(".new").replace(file)

    task = cluster.task("note", "note")
    every_second = {"dag_id": "often", "schedule_interval": 1, "tasks": [task]}
    file = write("often.json", every_second)
    write("other.json", {"dag_id": "other", "tasks": [task]})
    os.mkfifo(folder / "pipe.json")
    cluster.coordinator(PYDAG_DAGS=os.path.relpath(folder))
    cluster.worker()

    def ended() -> list[str]:
        return [run.run_id for run in cluster.client.runs() if run.state == "success"]

    wait_until(lambda: len(ended()) >= 2, "the schedule has started two runs")
    published = cluster.client.published
    assert [dag.dag_id for dag in published.all()] == ["often", "other"]
    assert published.problems() == {"pipe.json": "it is no file"}
    assert published.dag("often").source == "often.json"
    cluster.wait_written()
    assert "published often, version 1" in cluster.logs()
    file.rename(folder / "renamed.json")
    wait_until(lambda: published.dag("often").source == "renamed.json", "it has another name")
    assert published.dag("often").version == 1
