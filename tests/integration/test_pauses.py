"""What becomes of the outcome of a worker that slept for longer than its lease."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydag_dist.client import Run
from tests.support import wait_until
from tests.support.cluster import Cluster, Part
from tests.tasks.callables import Line

pytestmark = pytest.mark.short_lease


def open_gate(cluster: Cluster, line: Line) -> None:
    """Let that process end its task."""
    Path(f"{cluster.directory / 'gate'}.{line.pid}").touch()


@pytest.fixture
def paused(cluster: Cluster) -> tuple[Part, Run, Line]:
    """A worker that is stopped with its processes, and the run whose task it has."""
    cluster.coordinator()
    worker = cluster.worker(slots=1)
    gate = str(cluster.directory / "gate")
    run = cluster.submit(
        [cluster.task("t", "own", gate=gate), cluster.task("next", "note", after=["t"])]
    )
    (line,) = cluster.wait_lines("start", run, 1)
    worker.pause()
    return worker, run, line


def end_while_paused(cluster: Cluster, worker: Part, line: Line) -> None:
    """The task's process goes on alone and ends its work; its parent can't renew its lease."""
    open_gate(cluster, line)
    worker.resume_children()
    cluster.wait_lines("end", cluster.client.run(line.run), 1)


def test_an_outcome_counts_for_nothing_once_somebody_else_has_claimed_the_try(
    cluster: Cluster, paused: tuple[Part, Run, Line]
) -> None:
    worker, run, first = paused
    cluster.worker("substitute", slots=1, wait=False)
    _, second = cluster.wait_lines("start", run, 2)
    end_while_paused(cluster, worker, first)
    cluster.wait_ticks(2)
    record = cluster.record(run.id, "t")
    assert (record["state"], record["token"]) == ("running", second.push)
    worker.resume()
    cluster.wait_ticks(2)
    assert cluster.engine.reading.snapshot(run.id).counts == {"running": 1, "none": 1}
    open_gate(cluster, second)
    snapshot = cluster.wait_ended(run)
    assert (snapshot.state, snapshot.tasks["t"].try_number) == ("success", 1)
    assert snapshot.tasks["t"].result == second.pid
    assert cluster.journal.tasks("ran", run.id) == ["next"]
    assert cluster.record(run.id, "t")["losses"] == "1"
    cluster.assert_nothing_left([run])


def test_an_outcome_counts_though_its_lease_was_lost_if_nobody_has_claimed_the_try_since(
    cluster: Cluster, paused: tuple[Part, Run, Line]
) -> None:
    worker, run, line = paused
    wait_until(
        lambda: cluster.engine.reading.snapshot(run.id).counts == {"ready": 1, "none": 1},
        "it is lost",
    )
    end_while_paused(cluster, worker, line)
    wait_until(
        lambda: cluster.engine.reading.snapshot(run.id).tasks["t"].state == "success",
        "its outcome counts",
    )
    worker.resume()
    snapshot = cluster.wait_ended(run)
    assert (snapshot.state, snapshot.tasks["t"].try_number) == ("success", 1)
    assert snapshot.tasks["t"].result == line.pid
    assert [x.what for x in cluster.journal.lines(run=run.id)] == ["start", "end", "ran"]
    assert cluster.record(run.id, "t")["losses"] == "1"
    cluster.assert_nothing_left([run])
