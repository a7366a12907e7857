"""DAGs that run and wait for each other, on one slot, whose worker dies and whose Redis is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydag_dist import Dag
from pydag_dist.engine.published import child_run_id
from tests.support import wait_until
from tests.support.cluster import Cluster

DATE = "2026-01-31"


def published(cluster: Cluster, dag_id: str, *tasks: dict[str, Any]) -> None:
    cluster.client.publish(Dag.parse({"dag_id": dag_id, "tasks": list(tasks)}))


def running(dag_id: str, **fields: Any) -> dict[str, Any]:
    return {"task_id": "use", "operator": "dag.run", "params": {"dag": dag_id}, **fields}


def waiting(dag_id: str) -> dict[str, Any]:
    return {"task_id": "wait", "operator": "dag.wait", "params": {"dag": dag_id}}


def test_dags_use_each_other_on_one_slot_whatever_dies(cluster: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    published(cluster, "inner", cluster.task("work", "hold", gate=str(gate)))
    published(cluster, "middle", running("inner"))
    published(cluster, "outer", running("middle"))
    published(cluster, "after", waiting("outer"))
    cluster.coordinator()
    worker = cluster.worker(slots=1)
    after = cluster.client.start("after", logical_date=DATE)
    outer = cluster.client.start("outer", logical_date=DATE)
    middle = cluster.client.by_id(child_run_id("middle", outer.id, "use", 1))
    inner = cluster.client.by_id(child_run_id("inner", middle.id, "use", 1))

    runs = [inner, middle, outer, after]

    cluster.wait_lines("start", inner, 1)  # in the only slot, while three tasks wait
    assert cluster.engine.reading.ancestors(inner.id) == ["outer", "middle"]
    assert [run.snapshot().counts for run in runs[1:]] == [{"deferred": 1}] * 3
    assert f"run {middle.id}" in outer.why("use")
    cluster.wait_written()
    worker.kill()
    cluster.store.flushall()
    cluster.worker(name="w2", slots=1)
    gate.touch()
    state_of = cluster.engine.reading.run_state
    wait_until(lambda: all(state_of(run.id) for run in runs), "Redis has them again")
    snapshots = cluster.wait_all_ended(runs)
    assert [run.state for run in snapshots] == ["success"] * 4
    assert snapshots[1].tasks["use"].result == {"run": inner.id, "state": "success", "results": {}}
    assert snapshots[2].tasks["use"].try_number == 1
    assert snapshots[3].tasks["wait"].result["run"] == outer.id
    assert (snapshots[0].parent_run, snapshots[0].parent_task) == (middle.id, "use")
    assert len(cluster.client.runs()) == 4
    # A run that Redis has forgotten is found in the history.
    late = cluster.client.start("after", logical_date=DATE)
    cluster.wait_written()
    cluster.store.delete(cluster.engine.store.run_key(outer.id))
    assert cluster.wait_ended(late).tasks["wait"].result["run"] == outer.id

    # A cancel goes all the way down, and a retry starts another run.
    gate.unlink()
    published(cluster, "outer", running("middle", retries=1, retry_delay=0.1, timeout=300))
    outer = cluster.client.start("outer", logical_date=DATE)
    middle = cluster.client.by_id(child_run_id("middle", outer.id, "use", 1))
    inner = cluster.client.by_id(child_run_id("inner", middle.id, "use", 1))
    cluster.wait_lines("start", inner, 1)
    middle.cancel()
    wait_until(lambda: cluster.record(outer.id, "use")["try"] == "2", "the failed run is repeated")
    second = cluster.client.by_id(child_run_id("middle", outer.id, "use", 2))
    inner_2 = cluster.client.by_id(child_run_id("inner", second.id, "use", 1))
    cluster.wait_lines("start", inner_2, 1)
    assert cluster.wait_ended(inner).state == "cancelled"
    outer.cancel()
    ended = cluster.wait_all_ended([outer, second, inner_2])
    assert [run.state for run in ended] == ["cancelled"] * 3
    cluster.assert_nothing_left([outer, second, inner_2])
