"""Workflow templates: Google's own client, the local Dataproc, and the operator, over the wire."""

from __future__ import annotations

import time
import uuid

import pytest
from google.api_core.exceptions import (
    Aborted,
    AlreadyExists,
    Cancelled,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from google.cloud.dataproc_v1 import WorkflowMetadata

from tests.support import wait_until
from tests.support.local_google import PROJECT, QUICK, REGION, SCOPE, LocalDataproc, cloud_storage
from tests.unit.workers.support import Log, context
from workers.errors import RemoteJobLost, RemoteStateUnknown, TaskFailed
from workers.operators import Done, Pending, find

PARENT = f"projects/{PROJECT}/regions/{REGION}"
HELLO = "import sys\nprint('hello', *sys.argv[1:])\n"
FAILS = "print('about to fail')\nraise ValueError('no luck')\n"
SLEEP = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"
run = find("dataproc.workflow_template")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    directory = tmp_path_factory.mktemp("local")
    with cloud_storage(directory) as url:
        service = LocalDataproc(directory, url, delay=0.1).start()
        service.gcs_url = url
        yield service
        service.close()


@pytest.fixture
def dataproc(service, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", service.gcs_url)
    monkeypatch.setenv("DATAPROC_EMULATOR_HOST", service.address)
    return service


def step(dataproc, step_id, text=HELLO, *args, after=()):
    uri = dataproc.upload(f"{uuid.uuid4()}.py", text)
    return {
        "step_id": step_id,
        "pyspark_job": {"main_python_file_uri": uri, "args": list(args)},
        "prerequisite_step_ids": list(after),
    }


def template(*steps, **fields):
    cluster = {"managed_cluster": {"cluster_name": "own", "config": {}}}
    return {"placement": cluster, "jobs": list(steps), **fields}


def create(dataproc, made, name=""):
    template_id = name or f"t-{uuid.uuid4().hex[:8]}"
    request = {"parent": PARENT, "template": {"id": template_id, **made}}
    return dataproc.workflows.create_workflow_template(request=request)


def metadata(dataproc, name):
    found = WorkflowMetadata()
    operation = dataproc.workflows.get_operation(request={"name": name})
    operation.metadata.Unpack(WorkflowMetadata.pb(found))
    return found


def states(workflow):
    return {node.step_id: node.state.name for node in workflow.graph.nodes}


def test_jobs_run_after_their_prerequisites_on_a_cluster_that_goes(dataproc):
    first, second = step(dataproc, "load"), step(dataproc, "sum", after=["load"])
    made = create(dataproc, template(second, first, labels={"team": "a"}))
    begun = dataproc.workflows.instantiate_workflow_template(name=made.name)
    begun.result(timeout=60, polling=QUICK)
    workflow = metadata(dataproc, begun.operation.name)
    assert states(workflow) == {"load": "COMPLETED", "sum": "COMPLETED"}
    assert workflow.cluster_name.startswith("own-")
    with pytest.raises(NotFound):
        dataproc.clusters.get_cluster(**SCOPE, cluster_name=workflow.cluster_name)
    jobs = {node.step_id: dataproc.get(node.job_id) for node in workflow.graph.nodes}
    assert jobs["load"].labels["team"] == "a"
    begin = jobs["sum"].status_history[0].state_start_time
    assert begin >= jobs["load"].status.state_start_time


def test_a_failure_ends_what_depends_on_it_and_what_runs_beside_it(dataproc):
    steps = (
        step(dataproc, "bad", FAILS),
        step(dataproc, "long", SLEEP),
        step(dataproc, "never", after=["bad"]),
    )
    begun = dataproc.workflows.instantiate_inline_workflow_template(
        parent=PARENT, template=template(*steps)
    )
    with pytest.raises(Aborted, match="no luck"):
        begun.result(timeout=60, polling=QUICK)
    workflow = metadata(dataproc, begun.operation.name)
    assert set(states(workflow).values()) == {"FAILED"}
    jobs = {node.step_id: node.job_id for node in workflow.graph.nodes}
    assert jobs["never"] == ""
    assert dataproc.state(jobs["long"]) == "CANCELLED"


def test_one_request_id_has_one_workflow_at_a_time_and_a_selected_cluster_stays(dataproc):
    dataproc.create_cluster("chosen", labels={"env": "test"})
    chosen = {"cluster_selector": {"cluster_labels": {"env": "test"}}}
    made = {"jobs": [step(dataproc, "long", SLEEP)], "placement": chosen}
    request = {"parent": PARENT, "template": made, "request_id": "the-one"}
    begun = dataproc.workflows.instantiate_inline_workflow_template(request=request)
    again = dataproc.workflows.instantiate_inline_workflow_template(request=request)
    name = begun.operation.name
    assert again.operation.name == name
    wait_until(lambda: states(metadata(dataproc, name))["long"] == "RUNNING", "it runs")
    dataproc.kill()
    dataproc.start()
    dataproc.workflows.cancel_operation(request={"name": name})
    with pytest.raises(Cancelled):
        begun.result(timeout=60, polling=QUICK)
    assert dataproc.clusters.get_cluster(**SCOPE, cluster_name="chosen").status.state.name
    after = dataproc.workflows.instantiate_inline_workflow_template(request=request)
    assert after.operation.name != name  # Dataproc says no more than that no two run at a time
    dataproc.workflows.cancel_operation(request={"name": after.operation.name})


def test_parameters_are_filled_in_and_checked(dataproc):
    parameters = [
        {"name": "DAY", "fields": ["jobs['load'].pySparkJob.args[0]", "labels['day']"],
         "validation": {"regex": {"regexes": ["[0-9]{8}"]}}},
        {"name": "WORKERS",
         "fields": ["placement.managedCluster.config.workerConfig.numInstances"]},
    ]  # fmt: skip
    made = template(step(dataproc, "load", HELLO, "day"), labels={"day": "x"})
    made["parameters"] = parameters
    made["placement"] = {
        "managed_cluster": {
            "cluster_name": "own",
            "config": {"worker_config": {"num_instances": 2}},
        }
    }
    stored = create(dataproc, made)
    instantiate = dataproc.workflows.instantiate_workflow_template
    with pytest.raises(InvalidArgument, match="No values for the parameters WORKERS"):
        instantiate(name=stored.name, parameters={"DAY": "20260131"})
    with pytest.raises(InvalidArgument, match="no parameters NOPE"):
        instantiate(name=stored.name, parameters={"DAY": "20260131", "NOPE": "1"})
    with pytest.raises(InvalidArgument, match="matches none"):
        instantiate(name=stored.name, parameters={"DAY": "today", "WORKERS": "3"})
    with pytest.raises(InvalidArgument, match="must be a number"):
        instantiate(name=stored.name, parameters={"DAY": "20260131", "WORKERS": "x"})
    begun = instantiate(name=stored.name, parameters={"DAY": "20260131", "WORKERS": "3"})
    begun.result(timeout=60, polling=QUICK)
    (node,) = metadata(dataproc, begun.operation.name).graph.nodes
    job = dataproc.get(node.job_id)
    assert list(job.pyspark_job.args) == ["20260131"]
    assert job.labels["day"] == "20260131"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"jobs": []}, "jobs is required"),
        ({"placement": {}}, "placement is required"),
        ({"id": "a"}, "Invalid template id"),
        ({"dag_timeout": {"seconds": 60}}, "Invalid dag_timeout"),
        ({"parameters": [{"name": "A", "fields": ["jobs['load'].args[0]"]}]}, "no such field"),
        ({"parameters": [{"name": "A", "fields": ["jobs['load'].pysparkJob.args[7]"]}]},
         "no such field"),
        ({"parameters": [{"name": "a", "fields": ["labels['x']"]}]}, "Invalid parameter name"),
    ],
)  # fmt: skip
def test_what_google_refuses_is_refused(dataproc, change, said):
    made = {**template(step(dataproc, "load")), "id": "refused", **change}
    with pytest.raises(InvalidArgument, match=said):
        dataproc.workflows.create_workflow_template(parent=PARENT, template=made)


def test_steps_that_wait_for_each_other_are_refused(dataproc):
    steps = step(dataproc, "one", after=["two"]), step(dataproc, "two", after=["one"])
    with pytest.raises(InvalidArgument, match="The steps one, two wait for each other"):
        create(dataproc, template(*steps))
    with pytest.raises(InvalidArgument, match="there is no step three"):
        create(dataproc, template(step(dataproc, "one", after=["three"])))


def test_templates_have_versions(dataproc):
    made = create(dataproc, template(step(dataproc, "load")), "kept")
    with pytest.raises(AlreadyExists):
        create(dataproc, template(step(dataproc, "load")), "kept")
    second = dataproc.workflows.update_workflow_template(template=made)
    assert second.version == 2
    with pytest.raises(FailedPrecondition):
        dataproc.workflows.update_workflow_template(template=made)
    request = {"name": made.name, "version": 1}
    with pytest.raises(FailedPrecondition):
        dataproc.workflows.instantiate_workflow_template(request=request)
    assert made.name in {
        one.name for one in dataproc.workflows.list_workflow_templates(parent=PARENT)
    }
    dataproc.workflows.delete_workflow_template(name=made.name)
    with pytest.raises(NotFound):
        dataproc.workflows.get_workflow_template(name=made.name)


class TestOperator:
    def task(self, log=None, **params):
        fields = {name: params.pop(name) for name in ("redis", "try_number") if name in params}
        fields["task_id"] = params.pop("task_id", f"w-{uuid.uuid4().hex[:8]}")
        params = {"region": REGION, **params}
        return context(params, operator="dataproc.workflow_template", log=log, **fields)

    def wait(self, task, handle):
        while not isinstance(found := run.poll(task, handle), Done):
            assert isinstance(found, Pending)
            assert found.state.startswith("Dataproc workflow ")
            time.sleep(0.05)
        return found.result

    def test_one_that_is_there_is_run_with_its_parameters(self, dataproc):
        made = template(step(dataproc, "load", HELLO, "x"))
        made["parameters"] = [{"name": "WHO", "fields": ["jobs['load'].pysparkJob.args[0]"]}]
        stored = create(dataproc, made)
        result = run.execute(self.task(template_id=stored.id, parameters={"WHO": "you"}))
        assert (result["template"], result["version"]) == (stored.id, 1)
        assert dataproc.output(result["jobs"]["load"]) == "hello you\n"

    def test_one_of_the_file_has_the_labels_of_the_task(self, dataproc):
        task = self.task(template=template(step(dataproc, "load")), labels={"team": "b"})
        result = run.execute(task)
        labels = dict(dataproc.get(result["jobs"]["load"]).labels)
        assert (labels["team"], labels["pydag-task"]) == ("b", task.task_id)

    def test_the_same_try_finds_its_workflow_even_when_it_has_ended(self, dataproc):
        log = Log()
        task = self.task(template=template(step(dataproc, "load")), log=log)
        first = run.execute(task)
        assert run.execute(task) == first
        request_id = run.handle(task)["request_id"]
        assert f"found Dataproc workflow {request_id}, which this try began" in log.lines

    def test_a_lost_answer_finds_the_one_that_runs(self, dataproc):
        task = self.task(template=template(step(dataproc, "long", SLEEP)))
        handle = run.submit(task)
        key = f"{task.key_prefix}:workflows:{task.run_id}"
        task.redis.hset(key, handle["request_id"], "-")  # as before the answer came
        assert run.submit(task) == handle
        task.redis.hset(key, handle["request_id"], "-")
        run.cancel(task, run.handle(task))
        assert isinstance(run.look(task, handle), TaskFailed)
        with pytest.raises(TaskFailed, match="Workflow was cancelled"):
            run.poll(task, handle)

    def test_what_was_never_begun_need_not_be_cancelled(self, dataproc):
        task = self.task(template=template(step(dataproc, "load")))
        run.cancel(task, run.handle(task))
        assert run.look(task, run.handle(task)) is None
        asked = task.redis.hgetall(f"{task.key_prefix}:workflows:{task.run_id}")
        assert asked == {}  # nor was one begun to be cancelled

    def test_a_failure_tells_of_its_job_and_of_the_end_of_its_output(self, dataproc):
        with pytest.raises(TaskFailed) as failed:
            run.execute(self.task(template=template(step(dataproc, "bad", FAILS))))
        said = str(failed.value)
        assert "step bad, job bad-" in said
        assert "about to fail" in said
        assert said.endswith("ValueError: no luck")

    @pytest.mark.usefixtures("dataproc")
    def test_a_template_that_is_not_there_fails_and_leaves_nothing_to_cancel(self):
        task = self.task(template_id="nowhere")
        with pytest.raises(TaskFailed, match="NOT_FOUND: Not found: Workflow template"):
            run.submit(task)
        run.cancel(task, run.handle(task))
        assert run.look(task, run.handle(task)) is None

    def test_a_workflow_of_which_nothing_is_told_is_not_begun_again(self, dataproc):
        task = self.task(template=template(step(dataproc, "load")))
        dataproc.faults(("InstantiateInlineWorkflowTemplate", "ALREADY_EXISTS"))
        with pytest.raises(RemoteJobLost, match="does not say which it is"):
            run.submit(task)

    def test_what_cannot_be_cancelled_any_more_is_waited_for(self, dataproc, monkeypatch):
        task = self.task(template=template(step(dataproc, "long", SLEEP)))
        handle = run.submit(task)
        dataproc.faults(("CancelOperation", "FAILED_PRECONDITION"))
        with monkeypatch.context() as patched:
            patched.setattr("workers.contract.wait.CANCEL_WITHIN", 0.2)
            run.cancel(task, handle)
        assert dataproc.faults_left() == []
        assert isinstance(run.look(task, handle), Pending)
        run.cancel(task, handle)
        assert isinstance(run.look(task, handle), TaskFailed)
        run.cancel(task, handle)  # there is nothing left to be told to stop

    def test_errors_that_pass_say_nothing_of_a_workflow(self, dataproc):
        dataproc.faults(("InstantiateInlineWorkflowTemplate", "UNAVAILABLE"))
        task = self.task(template=template(step(dataproc, "load")))
        handle = run.submit(task)
        dataproc.faults(("GetOperation", "PERMISSION_DENIED"))
        with pytest.raises(RemoteStateUnknown):
            run.poll(task, handle)
        assert self.wait(task, handle)["jobs"]


def test_a_cluster_that_cannot_be_made_ends_the_workflow_and_goes(dataproc):
    properties = {"pydag-local:error": "Insufficient 'CPUS' quota"}
    made = template(step(dataproc, "load"))
    made["placement"]["managed_cluster"]["config"] = {"software_config": {"properties": properties}}
    begun = dataproc.workflows.instantiate_inline_workflow_template(parent=PARENT, template=made)
    with pytest.raises(Aborted, match="Insufficient 'CPUS' quota"):
        begun.result(timeout=60, polling=QUICK)
    workflow = metadata(dataproc, begun.operation.name)
    assert states(workflow) == {"load": "FAILED"}
    with pytest.raises(NotFound):
        dataproc.clusters.get_cluster(**SCOPE, cluster_name=workflow.cluster_name)


def test_a_workflow_of_no_cluster_says_which_labels_it_missed(dataproc):
    made = template(step(dataproc, "load"))
    made["placement"] = {"cluster_selector": {"cluster_labels": {"no": "where"}}}
    begun = dataproc.workflows.instantiate_inline_workflow_template(parent=PARENT, template=made)
    with pytest.raises(Aborted, match="No running cluster has the labels"):
        begun.result(timeout=60, polling=QUICK)


def test_a_service_that_was_killed_goes_on_at_every_step(dataproc):
    steps = step(dataproc, "one"), step(dataproc, "two", after=["one"])
    made = template(*steps)
    begun = dataproc.workflows.instantiate_inline_workflow_template(parent=PARENT, template=made)
    for _ in range(2):
        dataproc.kill()
        dataproc.start()
    begun.result(timeout=60, polling=QUICK)
    workflow = metadata(dataproc, begun.operation.name)
    ran = [line["id"] for line in dataproc.journal()]
    assert [ran.count(node.job_id) for node in workflow.graph.nodes] == [1, 1]
