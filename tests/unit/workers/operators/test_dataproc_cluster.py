"""What "already exists" means for a cluster, against an in-memory Dataproc."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from google.api_core.exceptions import AlreadyExists, FailedPrecondition, NotFound
from google.cloud.dataproc_v1 import Cluster, DiagnoseClusterResults
from google.longrunning import operations_pb2

from tests.unit.workers.support import Log, context
from workers.errors import TaskFailed
from workers.google import clients
from workers.operators import Done, Pending, find

NAME = "cluster-1"
PARAMS = {"region": "us-central1", "cluster_name": NAME, "config": {"software_config": {}}}


class Clusters:
    """Dataproc's clusters in memory: create is done when `settle` says so."""

    def __init__(self):
        self.found: dict[str, Cluster] = {}
        self.requests: list[str] = []
        self.diagnosis: str | None = ""  # its address once it is saved; None: it can't be

    def create_cluster(self, request, **_options):
        cluster = request["cluster"]
        if cluster.cluster_name in self.found:
            raise AlreadyExists("exists")
        self.requests.append(request["request_id"])
        self.found[cluster.cluster_name] = Cluster(cluster)
        self.settle("CREATING")

    def get_cluster(self, request, **_options):
        if request["cluster_name"] not in self.found:
            raise NotFound("no cluster")
        return self.found[request["cluster_name"]]

    def delete_cluster(self, request, **_options):
        self.get_cluster(request)
        self.settle("DELETING")
        return self.operation("delete")

    def start_cluster(self, request, **_options):
        self.get_cluster(request)
        self.settle("STARTING")

    def diagnose_cluster(self, **_options):
        if self.diagnosis is None:
            raise FailedPrecondition("no machine of it runs")
        return self.operation("diagnose")

    def get_operation(self, request, **_options):
        found = operations_pb2.Operation(name=request["name"], done=bool(self.diagnosis))
        if self.diagnosis:
            results = DiagnoseClusterResults(output_uri=self.diagnosis)
            found.response.Pack(DiagnoseClusterResults.pb(results))
        return found

    def operation(self, name):
        return SimpleNamespace(operation=operations_pb2.Operation(name=name))

    def settle(self, state, detail=""):
        self.found[NAME].status = {"state": state, "detail": detail}

    def vanish(self):
        del self.found[NAME]

    @property
    def state(self):
        return self.found[NAME].status.state.name

    def of_a_stranger(self, state):
        self.found[NAME] = Cluster(cluster_name=NAME, labels={"owner": "someone"})
        self.settle(state)


@pytest.fixture
def clusters(monkeypatch):
    clusters = Clusters()
    monkeypatch.setenv("DATAPROC_EMULATOR_HOST", "127.0.0.1:1")
    monkeypatch.setattr(clients, "cluster_client", lambda _access, _region: clusters)
    monkeypatch.setattr("workers.operators.dataproc.clusters._SURE", 0.0)
    return clusters


create = find("dataproc.create_cluster")


def task(try_number=1, log=None, **params):
    return context(
        PARAMS | params, operator="dataproc.create_cluster", try_number=try_number, log=log
    )


def test_a_cluster_is_created_with_labels_and_waited_for(clusters):
    handle = create.submit(task(labels={"team": "a"}))
    assert create.poll(task(), handle) == Pending("Dataproc cluster cluster-1 CREATING")
    clusters.settle("RUNNING")
    done = create.poll(task(), handle)
    assert isinstance(done, Done)
    assert done.result["cluster_name"] == NAME
    labels = dict(clusters.found[NAME].labels)
    assert labels["team"] == "a"
    assert labels["pydag-try"] == "1"
    assert labels["pydag-run"].startswith("nightly-20260101t000000-")


def test_the_same_try_finds_its_cluster(clusters):
    create.submit(task())
    handle = create.submit(task())
    clusters.settle("RUNNING")
    assert isinstance(create.poll(task(), handle), Done)
    assert len(clusters.requests) == 1


def test_a_later_try_finds_the_cluster_of_an_earlier_one(clusters):
    create.submit(task(1))
    clusters.settle("RUNNING")
    assert isinstance(create.poll(task(2), create.submit(task(2))), Done)


def test_a_later_try_replaces_what_an_earlier_one_left_broken(clusters):
    create.submit(task(1))
    clusters.settle("ERROR")
    log = Log()
    handle = create.submit(task(2, log))
    assert clusters.state == "DELETING"
    assert create.poll(task(2), handle) == Pending("Dataproc cluster cluster-1 DELETING")
    clusters.vanish()
    assert create.poll(task(2), handle) == Pending("Dataproc cluster cluster-1 CREATING")
    clusters.settle("RUNNING")
    assert isinstance(create.poll(task(2), handle), Done)
    assert len(set(clusters.requests)) == 2


def test_a_cluster_that_breaks_fails_the_task_with_its_detail(clusters):
    handle = create.submit(task())
    clusters.settle("ERROR", "Insufficient 'CPUS' quota")
    waiting = create.poll(task(), handle)
    assert waiting == Pending("Dataproc cluster cluster-1 ERROR, its diagnosis is being saved")
    assert clusters.state == "ERROR"
    clusters.diagnosis = "gs://b/diagnostic.tar.gz"
    with pytest.raises(TaskFailed) as failed:
        create.poll(task(), handle)
    assert str(failed.value) == (
        "Dataproc cluster cluster-1 is in state ERROR: Insufficient 'CPUS' quota; "
        "its diagnosis is at gs://b/diagnostic.tar.gz; it is being deleted"
    )
    assert clusters.state == "DELETING"


def test_one_that_cannot_be_diagnosed_is_deleted_all_the_same(clusters):
    handle = create.submit(task())
    clusters.settle("ERROR", "no quota")
    clusters.diagnosis = None
    with pytest.raises(TaskFailed, match="no quota; no diagnosis could be saved; it is being del"):
        create.poll(task(), handle)
    assert clusters.state == "DELETING"


def test_a_diagnosis_that_takes_too_long_is_not_waited_for(clusters, monkeypatch):
    monkeypatch.setattr("workers.operators.dataproc.create._DIAGNOSIS", 0.0)
    handle = create.submit(task())
    clusters.settle("ERROR")
    with pytest.raises(TaskFailed, match="no diagnosis could be saved"):
        create.poll(task(), handle)
    assert clusters.state == "DELETING"


def test_a_broken_cluster_stays_if_it_is_a_strangers_or_the_params_say_so(clusters):
    clusters.of_a_stranger("RUNNING")
    handle = create.submit(task(use_if_exists=True))
    clusters.settle("ERROR")
    with pytest.raises(TaskFailed, match="ERROR: no detail; it was left as it is"):
        create.poll(task(use_if_exists=True), handle)
    assert clusters.state == "ERROR"
    clusters.vanish()
    handle = create.submit(task(delete_on_error=False))
    clusters.settle("ERROR")
    with pytest.raises(TaskFailed, match="it was left as it is"):
        create.poll(task(delete_on_error=False), handle)
    assert clusters.state == "ERROR"


def test_a_stopped_cluster_is_started(clusters):
    clusters.of_a_stranger("STOPPING")
    handle = create.submit(task(use_if_exists=True))
    assert create.poll(task(), handle) == Pending("Dataproc cluster cluster-1 STOPPING")
    clusters.settle("STOPPED")
    assert isinstance(create.poll(task(), handle), Pending)
    assert clusters.state == "STARTING"
    clusters.settle("RUNNING")
    assert isinstance(create.poll(task(), handle), Done)


def test_a_cluster_whose_update_failed_takes_jobs(clusters):
    clusters.of_a_stranger("ERROR_DUE_TO_UPDATE")
    handle = create.submit(task(use_if_exists=True))
    assert isinstance(create.poll(task(), handle), Done)


@pytest.mark.parametrize(
    ("params", "seconds"),
    [
        ({}, 1800),
        ({"idle_delete_ttl": 600}, 600),
        ({"idle_delete_ttl": None}, 0),
        ({"config": {"lifecycle_config": {"idle_delete_ttl": {"seconds": 900}}}}, 900),
        ({"config": {"lifecycle_config": {"auto_delete_ttl": {"seconds": 900}}}}, 1800),
    ],
)
def test_an_idle_cluster_is_deleted_unless_the_params_say_never(clusters, params, seconds):
    create.submit(task(**params))
    lifecycle = clusters.found[NAME].config.lifecycle_config
    ttl = lifecycle.idle_delete_ttl
    assert (ttl.total_seconds() if ttl else 0) == seconds


def test_a_cluster_that_vanishes_for_a_minute_fails_the_task(clusters, monkeypatch):
    handle = create.submit(task())
    cluster = clusters.found[NAME]
    clusters.vanish()
    assert create.poll(task(), handle) == Pending("Dataproc cluster cluster-1 is not found")
    clusters.found[NAME] = cluster  # the service was mistaken
    assert create.poll(task(), handle) == Pending("Dataproc cluster cluster-1 CREATING")
    assert handle["missing_since"] is None
    clusters.vanish()
    create.poll(task(), handle)
    monkeypatch.setattr("workers.operators.dataproc.create._MISSING", 0.0)
    with pytest.raises(TaskFailed, match="was deleted while it was waited for"):
        create.poll(task(), handle)


def test_a_strangers_cluster_is_not_taken(clusters):
    clusters.of_a_stranger("RUNNING")
    with pytest.raises(TaskFailed, match="exists already in us-central1, and this task did not"):
        create.submit(task())


def test_a_strangers_cluster_is_used_if_the_params_say_so(clusters):
    clusters.of_a_stranger("CREATING")
    handle = create.submit(task(use_if_exists=True))
    assert isinstance(create.poll(task(), handle), Pending)
    clusters.settle("RUNNING")
    assert isinstance(create.poll(task(), handle), Done)


def test_a_cluster_that_is_being_deleted_is_waited_for_and_made_anew(clusters):
    clusters.of_a_stranger("DELETING")
    handle = create.submit(task())
    assert isinstance(create.poll(task(), handle), Pending)
    clusters.vanish()
    create.poll(task(), handle)
    assert "pydag-run" in clusters.found[NAME].labels


def test_cancel_deletes_the_cluster_of_this_try(clusters):
    handle = create.submit(task())
    create.cancel(task(), handle)
    assert clusters.state == "DELETING"
    clusters.vanish()
    create.cancel(task(), handle)


def test_cancel_deletes_the_cluster_that_an_earlier_try_made(clusters):
    create.submit(task(1))
    clusters.settle("RUNNING")
    create.cancel(task(2), create.submit(task(2)))
    assert clusters.state == "DELETING"


def test_cancel_leaves_the_cluster_of_a_later_try_and_a_strangers(clusters):
    handle = create.submit(task(2))
    create.cancel(task(1), handle)
    assert clusters.state == "CREATING"
    clusters.of_a_stranger("RUNNING")
    create.cancel(task(2), handle)
    assert clusters.state == "RUNNING"


@pytest.mark.usefixtures("clusters")
def test_a_field_that_dataproc_does_not_know_is_explained():
    with pytest.raises(TaskFailed, match=r"params of dataproc.create_cluster: config: .*no_such"):
        create.submit(task(config={"no_such": 1}))


def test_wrong_params_are_all_named():
    with pytest.raises(TaskFailed) as failed:
        create.submit(context({"region": ""}, operator="dataproc.create_cluster"))
    assert "region: " in str(failed.value)
    assert "cluster_name: is missing" in str(failed.value)
