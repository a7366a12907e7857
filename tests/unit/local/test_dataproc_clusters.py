"""The life of a cluster in the local Dataproc, on a clock of our own."""

from __future__ import annotations

import time

import pytest
from google.cloud.dataproc_v1 import CreateClusterRequest, Job, JobStatus

from pydag_emulators.dataproc.calls.clusters import Clusters
from pydag_emulators.dataproc.calls.jobs import enter
from pydag_emulators.dataproc.store import JobKey, Scope, Store

SCOPE = Scope("p", "r")
HOUR = 3600


@pytest.fixture
def clock(monkeypatch):
    now = [1_700_000_000.0]  # whole seconds: times are kept in microseconds
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "dataproc.sqlite")
    yield store
    store.close()


@pytest.fixture
def clusters(store, clock):
    clusters = Clusters(
        store,
        0.0,
        make_bucket=lambda *_: None,
        upload=lambda *_: None,
        end_jobs=lambda *_: None,
    )
    lifecycle = {"idle_delete_ttl": {"seconds": HOUR}}
    cluster = {"cluster_name": "c", "config": {"lifecycle_config": lifecycle}}
    clusters.create(CreateClusterRequest(project_id="p", region="r", cluster=cluster))
    return clusters


def job(store, clusters, state, cluster="c"):
    job = Job(placement={"cluster_name": cluster}, status={"state": "PENDING"})
    job.placement.cluster_uuid = clusters.current(SCOPE, cluster).cluster_uuid
    key = JobKey(SCOPE, "j")
    store.add_job(key, job, "o")
    enter(job, state)
    store.update_job(key, job, active=not job.done)
    return key, job


def test_an_idle_cluster_goes_by_itself(clusters, clock):
    clock[0] += HOUR - 1
    assert clusters.current(SCOPE, "c").status.state.name == "RUNNING"
    clock[0] += 1
    assert clusters.current(SCOPE, "c") is None


def test_a_cluster_with_an_end_goes_then_or_when_its_job_has_ended(store, clusters, clock):
    lifecycle = {"auto_delete_ttl": {"seconds": HOUR}}
    cluster = {"cluster_name": "d", "config": {"lifecycle_config": lifecycle}}
    clusters.create(CreateClusterRequest(project_id="p", region="r", cluster=cluster))
    key, running = job(store, clusters, JobStatus.State.RUNNING, "d")
    clock[0] += HOUR - 1
    assert clusters.current(SCOPE, "d")
    clock[0] += 1
    assert clusters.current(SCOPE, "d")
    enter(running, JobStatus.State.DONE)
    store.update_job(key, running, active=False)
    assert not clusters.current(SCOPE, "d")


def test_the_time_counts_from_the_end_of_the_last_job(store, clusters, clock):
    clock[0] += HOUR / 2
    job(store, clusters, JobStatus.State.DONE)
    idle_since = clock[0]
    clock[0] += HOUR - 1
    found = clusters.current(SCOPE, "c")
    assert found.config.lifecycle_config.idle_start_time.timestamp() == pytest.approx(idle_since)
    clock[0] += 1
    assert clusters.current(SCOPE, "c") is None


def test_a_cluster_with_a_job_stays(store, clusters, clock):
    job(store, clusters, JobStatus.State.RUNNING)
    clock[0] += 10 * HOUR
    assert clusters.current(SCOPE, "c").status.state.name == "RUNNING"
