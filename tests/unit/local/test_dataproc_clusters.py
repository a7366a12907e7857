"""The life of a cluster in the local Dataproc, on a clock of our own."""

from __future__ import annotations

import time

import pytest
from google.cloud.dataproc_v1 import (
    CreateClusterRequest,
    DeleteClusterRequest,
    Job,
    JobStatus,
    StopClusterRequest,
)

from pydag_emulators.dataproc.calls.clusters import Clusters
from pydag_emulators.dataproc.calls.jobs import enter
from pydag_emulators.dataproc.calls.refused import Refused
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
def ended():
    """The clusters whose jobs were ended."""
    return []


@pytest.fixture
def clusters(store, clock, ended):
    clusters = Clusters(
        store,
        0.0,
        make_bucket=lambda *_: None,
        upload=lambda *_: None,
        end_jobs=ended.append,
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


def create(clusters, **config):
    cluster = {"cluster_name": "sized", "config": config}
    clusters.create(CreateClusterRequest(project_id="p", region="r", cluster=cluster))
    return clusters.current(SCOPE, "sized").config


def test_a_cluster_has_the_usual_machines(clusters):
    config = create(clusters, master_config={"num_instances": 3})
    assert (config.master_config.num_instances, config.worker_config.num_instances) == (3, 2)


def test_a_cluster_may_have_one_machine(clusters):
    properties = {"dataproc:dataproc.allow.zero.workers": "true"}
    config = create(clusters, software_config={"properties": properties})
    assert (config.master_config.num_instances, config.worker_config.num_instances) == (1, 0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"master_config": {"num_instances": 2}}, "number of masters 2: a cluster has 1 or 3"),
        ({"worker_config": {"num_instances": 1}}, "number of workers 1: none, or at least 2"),
        ({"gce_cluster_config": {"zone_uri": "zones/q-a"}}, "Zone q-a is not in region r"),
    ],
)
def test_machines_that_google_refuses_are_refused(clusters, config, message):
    with pytest.raises(Refused, match=message):
        create(clusters, **config)


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


@pytest.mark.parametrize("kind", ["stop", "delete"])
def test_a_request_that_comes_again_ends_no_jobs_again(clusters, ended, kind):
    request_of = {"stop": StopClusterRequest, "delete": DeleteClusterRequest}[kind]
    request = request_of(project_id="p", region="r", cluster_name="c", request_id="one")
    first = getattr(clusters, kind)(request)
    again = getattr(clusters, kind)(request)
    assert again == first
    assert [cluster.cluster_name for cluster in ended] == ["c"]
