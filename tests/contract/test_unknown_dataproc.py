"""Answers of Dataproc that say nothing of a job, batch or cluster, over the wire."""

from __future__ import annotations

import grpc
import pytest
from google.api_core.exceptions import NotFound
from google.auth.transport.grpc import AuthMetadataPlugin
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from pydag_dist.engine import Claim, Held
from pydag_dist.local.keyfile import write_key_file
from tests.contract.test_unknown_answers import PAGE, REVOKED, token_service
from tests.support.local_google import CLUSTER, PROJECT, REGION, SCOPE, LocalDataproc, cloud_storage
from tests.unit.workers.support import Log, context
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.google import clients
from workers.operators import Asked, Done, Pending, find
from workers.tries import earlier

HELLO = "print('hello')\n"
SLEEP = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"
CODES = ["NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED"]
GET = {"dataproc.submit_job": "GetJob", "dataproc.submit_batch": "GetBatch"}
CANCEL = {"dataproc.submit_job": "CancelJob", "dataproc.submit_batch": "CancelOperation"}


@pytest.fixture(scope="module")
def gcs_url(tmp_path_factory):
    with cloud_storage(tmp_path_factory.mktemp("local")) as url:
        yield url


@pytest.fixture(scope="module")
def service(tmp_path_factory, gcs_url):
    service = LocalDataproc(tmp_path_factory.mktemp("local"), gcs_url, delay=0.1).start()
    service.create_cluster()
    yield service
    service.close()


@pytest.fixture
def dataproc(service, gcs_url, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    monkeypatch.setenv("DATAPROC_EMULATOR_HOST", service.address)
    monkeypatch.setattr(earlier, "kept_wait", lambda _held: None)  # no try was deferred
    service.faults()
    return service


def task(dataproc, operator, name, text=HELLO, *, try_number=1, log=None):
    params = {"region": REGION, "main_python_file_uri": dataproc.upload(f"{hash(text)}.py", text)}
    if operator == "dataproc.submit_job":
        params["cluster_name"] = CLUSTER
    task_id = f"{name}-{operator[-3:]}"  # batches and jobs have one journal
    fields = {"task_id": task_id, "try_number": try_number, "log": log}
    return context(params, operator=operator, **fields)


def execute(task):
    operator = find(task.operator)
    held = Held(task.run_id, task.task_id, task.try_number, "push")
    done = earlier.end_earlier_jobs(held, Claim("run", {"params": task.params}), task, operator)
    return done.result if done else operator.execute(task)


def ran(dataproc, task):
    return [line for line in dataproc.journal() if f"-{task.task_id}-" in line["id"]]


@pytest.mark.parametrize("operator", GET)
@pytest.mark.parametrize("code", CODES)
def test_what_was_accepted_is_asked_for_again(dataproc, operator, code):
    log = Log()
    one = task(dataproc, operator, f"asked-{code[:3].lower()}", log=log)
    dataproc.faults((GET[operator], code), (GET[operator], code))
    assert execute(one)["driver_output"]
    assert dataproc.faults_left() == []
    assert len(ran(dataproc, one)) == 1
    assert any(f"{code}: a fault that was ordered" in line for line in log.lines)


CLUSTER_CALLS = {
    "dataproc.create_cluster": ("CreateCluster", "GetCluster"),
    "dataproc.update_cluster": ("UpdateCluster", "GetOperation"),
    "dataproc.stop_cluster": ("StopCluster", "GetOperation"),
    "dataproc.start_cluster": ("StartCluster", "GetOperation"),
    "dataproc.delete_cluster": ("DeleteCluster", "GetOperation"),
}
PASSES = ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "+UNAVAILABLE"]  # +: its answer is lost


@pytest.mark.parametrize("code", PASSES)
def test_a_clusters_life_on_a_bad_network(dataproc, code):
    """Each of these waits for what passes, and does once what it is for."""
    name = f"life-{PASSES.index(code)}"
    for operator, (begins, asks) in CLUSTER_CALLS.items():
        more = {"num_workers": 4} if operator == "dataproc.update_cluster" else {}
        params = {"region": REGION, "cluster_name": name, **more}
        one = context(params, operator=operator, task_id=f"{operator[9:14]}-{name}")
        dataproc.faults((begins, code), (asks, "NOT_FOUND"), (asks, "UNAVAILABLE"))
        assert execute(one)["cluster_name"] == name
        assert not [left for left in dataproc.faults_left() if left[0] == begins]
    with pytest.raises(NotFound):
        dataproc.clusters.get_cluster(**SCOPE, cluster_name=name)


@pytest.mark.parametrize("code", PASSES)
@pytest.mark.parametrize("operator", GET)
def test_work_is_accepted_once_on_a_bad_network(dataproc, operator, code):
    call = "SubmitJob" if operator == "dataproc.submit_job" else "CreateBatch"
    one = task(dataproc, operator, f"net-{PASSES.index(code)}")
    dataproc.faults((call, code))
    assert execute(one)["driver_output"]
    assert dataproc.faults_left() == []
    assert len(ran(dataproc, one)) == 1


@pytest.mark.parametrize("code", PASSES)
def test_a_workflow_is_begun_once_on_a_bad_network(dataproc, code):
    main = dataproc.upload("hello.py", HELLO)
    template = {
        "placement": {"cluster_selector": {"cluster_labels": {"flows": "here"}}},
        "jobs": [{"step_id": "one", "pyspark_job": {"main_python_file_uri": main}}],
    }
    if code == PASSES[0]:
        dataproc.create_cluster("flows", labels={"flows": "here"})
    task_id = f"flow-{PASSES.index(code)}"
    params = {"region": REGION, "template": template}
    one = context(params, operator="dataproc.workflow_template", task_id=task_id)
    dataproc.faults(
        ("InstantiateInlineWorkflowTemplate", code),
        ("GetOperation", "UNAVAILABLE"),
        ("GetOperation", "NOT_FOUND"),
    )
    assert set(execute(one)["jobs"]) == {"one"}
    assert dataproc.faults_left() == []
    jobs = dataproc.jobs.list_jobs(**SCOPE, filter=f"labels.pydag-task = {task_id}")
    assert len(list(jobs)) == 1


@pytest.mark.parametrize("operator", GET)
def test_before_it_was_accepted_a_refusal_is_a_failure(dataproc, operator):
    call = "SubmitJob" if operator == "dataproc.submit_job" else "CreateBatch"
    dataproc.faults((call, "PERMISSION_DENIED"))
    with pytest.raises(TaskFailed, match=r"PERMISSION_DENIED: .*roles/dataproc\.editor"):
        execute(task(dataproc, operator, "refused"))


@pytest.mark.parametrize("operator", GET)
@pytest.mark.parametrize("code", CODES)
def test_the_work_of_the_try_before_is_stopped_before_more_starts(dataproc, operator, code):
    name = f"stopped-{code[:3].lower()}"
    first = task(dataproc, operator, name, SLEEP)
    handle = find(operator).submit(first)
    wait = dataproc.wait_for if "job_id" in handle else dataproc.wait_for_batch
    wait(handle.get("job_id") or handle["batch_id"], "RUNNING")
    dataproc.faults((CANCEL[operator], code), (GET[operator], code), (GET[operator], code))
    assert execute(task(dataproc, operator, name, try_number=2))
    stopped, done = ran(dataproc, first)
    assert (stopped["state"], done["state"]) in (
        ("CANCELLED", "DONE"), ("CANCELLED", "SUCCEEDED"),
    )  # fmt: skip
    assert stopped["ended"] <= done["started"]


@pytest.mark.parametrize("operator", GET)
def test_what_had_succeeded_though_its_try_failed_does_not_run_again(dataproc, operator):
    first = task(dataproc, operator, "twice")
    log = Log()
    assert execute(first) == execute(task(dataproc, operator, "twice", try_number=2, log=log))
    assert len(ran(dataproc, first)) == 1
    assert "the job of try 1 has succeeded: its result is taken" in log.lines


def cluster(operator, name, try_number=1, log=None, **fields):
    params = {"region": REGION, "cluster_name": name}
    fields = {"task_id": name, "try_number": try_number, "log": log, **fields}
    return context(params, operator=operator, **fields)


@pytest.mark.parametrize("code", CODES)
def test_a_cluster_that_is_being_made_is_asked_for_again(dataproc, code):
    name = f"made-{code[:3].lower()}"
    one = cluster("dataproc.create_cluster", name)
    create = find(one.operator)
    handle = create.submit(one)
    dataproc.faults(*[("GetCluster", code)] * 3)
    answers = [create.answer(Asked(one, handle)) for _ in range(3)]
    assert not any(isinstance(answer, TaskFailed | Done) for answer in answers[:1])
    while not isinstance(answer := create.answer(Asked(one, handle)), Done):
        assert not isinstance(answer, TaskFailed)
    assert answer.result["cluster_name"] == name


@pytest.mark.parametrize("code", CODES)
def test_a_cluster_is_gone_only_when_dataproc_says_so(dataproc, code):
    name = f"gone-{code[:3].lower()}"
    dataproc.create_cluster(name)
    one = cluster("dataproc.delete_cluster", name)
    delete = find(one.operator)
    if code == "NOT_FOUND":
        dataproc.faults(("GetCluster", code))
    handle = delete.submit(one)
    assert handle["uuid"]
    dataproc.faults(("GetCluster", code))
    answer = delete.answer(Asked(one, handle))
    assert not isinstance(answer, TaskFailed)
    while not isinstance(answer, Done):
        assert isinstance(answer, Pending | RemoteStateUnknown)
        answer = delete.answer(Asked(one, handle))
    assert answer.result["deleted"] is True
    with pytest.raises(NotFound):
        dataproc.clusters.get_cluster(**SCOPE, cluster_name=name)


def test_the_next_try_goes_on_with_the_cluster_of_the_one_before(dataproc):
    first = cluster("dataproc.create_cluster", "kept")
    find(first.operator).submit(first)
    done = execute(cluster("dataproc.create_cluster", "kept", try_number=2))
    made = dataproc.clusters.get_cluster(**SCOPE, cluster_name="kept")
    assert (made.cluster_uuid, made.labels["pydag-try"]) == (done["cluster_uuid"], "1")


@pytest.fixture
def tokens(dataproc, tmp_path, monkeypatch):
    """The worker's client of jobs gets a new token for each call."""
    with token_service() as (url, tokens):
        write_key_file(tmp_path / "key.json", PROJECT, url)
        found = service_account.Credentials.from_service_account_file(tmp_path / "key.json")
        found = found.with_scopes(["https://www.googleapis.com/auth/cloud-platform"])
        plugin = grpc.metadata_call_credentials(AuthMetadataPlugin(found, Request()))
        local = grpc.local_channel_credentials(grpc.LocalConnectionType.LOCAL_TCP)
        channel = grpc.secure_channel(
            dataproc.address, grpc.composite_channel_credentials(local, plugin)
        )
        transport = clients.JobClient.get_transport_class("grpc")
        client = clients.JobClient(transport=transport(channel=channel))
        monkeypatch.setattr(clients, "job_client", lambda _access, _region: client)
        monkeypatch.setattr(clients, "_forget_clients", lambda: None)
        yield tokens
        channel.close()


@pytest.mark.parametrize("answer", [(502, PAGE), REVOKED])
def test_no_token_says_nothing_of_a_job_that_was_accepted(dataproc, tokens, answer):
    name = f"token-{answer[0]}"
    one = task(dataproc, "dataproc.submit_job", name)
    job = find(one.operator)
    handle = job.submit(one)
    assert tokens.asked
    tokens.answers = [answer] * 2
    while not isinstance(found := job.answer(Asked(one, handle)), Done):
        assert not isinstance(found, TaskFailed)
    assert tokens.answers == []
    assert len(ran(dataproc, one)) == 1


def test_no_token_before_a_job_was_accepted(dataproc, tokens):
    tokens.answers = [REVOKED]
    with pytest.raises(TaskFailed, match="the key or the login was revoked"):
        execute(task(dataproc, "dataproc.submit_job", "no-token"))
