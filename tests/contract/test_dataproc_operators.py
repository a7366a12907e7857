"""The operators of Dataproc with Google's own clients, over the wire; Spark itself is Python."""

from __future__ import annotations

import uuid

import pytest
from google.api_core.exceptions import NotFound
from google.cloud.dataproc_v1 import Job

from tests.support.local_google import (
    PROJECT,
    QUICK,
    REGION,
    SCOPE,
    LocalDataproc,
    cloud_storage,
)
from tests.unit.workers.support import Log, context
from workers.contract.answer import Asked
from workers.errors import TaskFailed
from workers.google import clients
from workers.google.access import access_to
from workers.operators import Done, Pending, find

create, delete = find("dataproc.create_cluster"), find("dataproc.delete_cluster")
batch, job = find("dataproc.submit_batch"), find("dataproc.submit_job")

HELLO = "import sys\nprint('hello', *sys.argv[1:])\n"
SLEEP = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("local")


@pytest.fixture(scope="module")
def gcs_url(directory):
    with cloud_storage(directory) as url:
        yield url


@pytest.fixture(scope="module")
def service(directory, gcs_url):
    service = LocalDataproc(directory, gcs_url, delay=0.1).start()
    yield service
    service.close()


@pytest.fixture
def dataproc(service, gcs_url, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    monkeypatch.setenv("DATAPROC_EMULATOR_HOST", service.address)
    return service


class TestBatch:
    def task(self, dataproc, text, *args, log=None, **fields):
        uri = dataproc.upload(f"{abs(hash(text))}.py", text)
        params = {"region": REGION, "main_python_file_uri": uri, "args": list(args)}
        return context(params, operator="dataproc.submit_batch", log=log, **fields)

    def entries(self, dataproc, task):
        batch_id = batch.handle(task)["batch_id"]
        return [line for line in dataproc.journal() if line["id"] == batch_id]

    def test_it_runs_under_the_id_of_the_try_and_its_output_is_the_log(self, dataproc):
        log = Log()
        task = self.task(dataproc, HELLO, "batch", log=log, task_id="hello")
        result = batch.execute(task)
        handle = batch.handle(task)
        assert result == {
            "batch_id": handle["batch_id"],
            "project": "local-project",
            "region": REGION,
            "link": None,
            "driver_output": result["driver_output"],
        }
        assert "hello batch" in log.lines
        labels = dict(dataproc.batch(handle["batch_id"]).labels)
        assert labels["pydag-task"] == "hello"

    def test_the_same_try_finds_its_batch(self, dataproc):
        task = self.task(dataproc, HELLO, task_id="again")
        first = batch.execute(task)
        log = Log()
        again = self.task(dataproc, HELLO, log=log, task_id="again")
        assert batch.execute(again) == first
        assert f"found Dataproc batch {first['batch_id']}, which this try submitted" in log.lines
        assert len(self.entries(dataproc, task)) == 1
        other = batch.execute(self.task(dataproc, HELLO, task_id="again", try_number=2))
        assert other["batch_id"] != first["batch_id"]

    def test_a_failure_says_why_with_the_end_of_the_output(self, dataproc):
        text = "print('before')\nraise ValueError('no luck')\n"
        with pytest.raises(TaskFailed) as failed:
            batch.execute(self.task(dataproc, text, task_id="failing"))
        said = str(failed.value)
        assert "ended as FAILED: Batch failed with message [ValueError: no luck]" in said
        assert said.endswith("ValueError: no luck")
        assert "before" in said

    def test_cancelling_waits_until_it_has_stopped(self, dataproc):
        task = self.task(dataproc, SLEEP, task_id="long")
        handle = batch.submit(task)
        dataproc.wait_for_batch(handle["batch_id"], "RUNNING")
        batch.cancel(task, batch.handle(task))
        assert dataproc.batch(handle["batch_id"]).state.name == "CANCELLED"
        batch.cancel(task, handle)
        with pytest.raises(TaskFailed, match="ended as CANCELLED"):
            batch.poll(task, handle)

    def test_cancelling_one_that_never_was_is_success(self, dataproc):
        task = self.task(dataproc, HELLO, task_id="never")
        batch.cancel(task, batch.handle(task))

    def test_many_are_asked_for_by_one_list(self, dataproc, monkeypatch):
        texts = [SLEEP, SLEEP, SLEEP, HELLO]
        tasks = [
            self.task(dataproc, text, task_id=f"many-{number}") for number, text in enumerate(texts)
        ]
        asked = [Asked(task, batch.submit(task)) for task in tasks]
        dataproc.wait_for_batch(asked[3].handle["batch_id"])
        for one in asked[:3]:
            dataproc.wait_for_batch(one.handle["batch_id"], "RUNNING")
        client = clients.batch_client(access_to(context().settings, None, "local-project"), REGION)
        calls = []
        for name in ("get_batch", "list_batches"):
            real = getattr(type(client), name)

            def counted(self, *args, _real=real, _name=name, **options):
                calls.append(_name)
                return _real(self, *args, **options)

            monkeypatch.setattr(type(client), name, counted)
        answers = dict(batch.poll_many(asked))
        assert [isinstance(answers[one], Done) for one in asked] == [False, False, False, True]
        assert answers[asked[0]] == Pending("Dataproc batch RUNNING")
        assert sorted(calls) == ["get_batch", "list_batches"]
        for one in asked[:3]:
            batch.cancel(one.context, one.handle)

    @pytest.mark.usefixtures("dataproc")
    def test_what_dataproc_refuses_fails_at_once(self):
        log = Log()
        params = {
            "region": REGION,
            "main_python_file_uri": "gs://b/x.py",
            "container_image": "mine",
        }
        with pytest.raises(TaskFailed, match=r"UNIMPLEMENTED.*container_image"):
            batch.execute(context(params, operator="dataproc.submit_batch", log=log))
        assert log.lines == []
        with pytest.raises(TaskFailed, match=r"environment: .*no_such"):
            batch.submit(context(params | {"environment": {"no_such": 1}}))


class TestDelete:
    def run(self, log=None, **params):
        fields = {"task_id": params.pop("task_id", "t"), "run_id": params.pop("run_id", "run")}
        params = {"region": REGION, "cluster_name": "old"} | params
        return delete.execute(
            context(params, operator="dataproc.delete_cluster", log=log, **fields)
        )

    def test_gone_already_is_success(self, dataproc):
        dataproc.create_cluster("old")
        result = self.run(task_id="first")
        assert (result["cluster_name"], result["deleted"]) == ("old", True)
        with pytest.raises(NotFound):
            dataproc.clusters.get_cluster(**SCOPE, cluster_name="old")
        assert self.run(task_id="second")["deleted"] is False

    @pytest.mark.usefixtures("dataproc")
    def test_a_cluster_that_this_run_made_elsewhere_is_missed(self):
        log, elsewhere = Log(), {"region": "europe-west1", "cluster_name": "lost"}
        fields = {"operator": "dataproc.create_cluster", "run_id": "run"}
        task = context(elsewhere, **fields)
        create.execute(task)
        params = {"cluster_name": "lost", "region": REGION}
        fields = {"operator": "dataproc.delete_cluster", "run_id": "run", "redis": task.redis}
        said = (
            "no Dataproc cluster lost in region us-central1 .*: this run made it in region europe"
        )
        with pytest.raises(TaskFailed, match=said):
            delete.execute(context(params, **fields))
        assert delete.execute(context(elsewhere, **fields))["deleted"] is True
        never = context(params | {"cluster_name": "never"}, log=log, **fields)
        assert delete.execute(never)["deleted"] is False
        where = "region us-central1 of project local-project"
        said = f"there is no Dataproc cluster never in {where}: nothing was deleted"
        assert log.lines == [said]

    def test_only_own_leaves_a_strangers_alone(self, dataproc):
        dataproc.create_cluster("old", labels={"pydag-run": "another"})
        log = Log()
        assert self.run(log, only_own=True)["deleted"] is False
        assert "is not of this run, and stays" in log.lines[0]
        assert dataproc.clusters.get_cluster(**SCOPE, cluster_name="old")
        self.run(task_id="clean-up")
        dataproc.create_cluster("old", labels={"pydag-run": "run"})
        assert self.run(only_own=True, task_id="third")["deleted"] is True

    def test_a_new_cluster_of_that_name_is_not_waited_for(self, dataproc):
        dataproc.create_cluster("old")
        task = context(
            {"region": REGION, "cluster_name": "old"},
            operator="dataproc.delete_cluster",
            task_id="renewed",
        )
        handle = delete.submit(task)
        while isinstance(delete.poll(task, handle), Pending):
            pass
        dataproc.create_cluster("old")
        assert delete.poll(task, handle).result["deleted"] is True
        self.run(task_id="clean-up-2")


def test_a_cluster_that_breaks_leaves_its_diagnosis_and_goes(dataproc):
    properties = {"pydag-local:error": "Insufficient 'CPUS' quota"}
    params = {
        "region": REGION,
        "cluster_name": "broken",
        "config": {"software_config": {"properties": properties}},
    }
    with pytest.raises(TaskFailed) as failed:
        create.execute(context(params, operator="dataproc.create_cluster"))
    said = str(failed.value)
    assert "cluster broken is in state ERROR: Insufficient 'CPUS' quota; its diagnosis" in said
    uri = said.partition(" is at ")[2].partition(";")[0]
    assert dataproc.bytes_of(uri)
    assert delete.execute(
        context({"region": REGION, "cluster_name": "broken"}, operator="dataproc.delete_cluster")
    )


@pytest.mark.parametrize(
    ("params", "field", "work"),
    [
        ({"main_r_file_uri": "gs://b/x.R", "args": ["1"]}, "spark_r_job",
         {"main_r_file_uri": "gs://b/x.R", "args": ["1"]}),
        ({"main_python_file_uri": "file:///usr/lib/x.py"}, "pyspark_job",
         {"main_python_file_uri": "file:///usr/lib/x.py"}),
        ({"job_type": "hadoop", "main_class": "org.Grep", "jar_file_uris": ["gs://b/x.jar"]},
         "hadoop_job", {"main_class": "org.Grep", "jar_file_uris": ["gs://b/x.jar"]}),
        ({"job_type": "flink", "main_jar_file_uri": "gs://b/x.jar", "savepoint_uri": "gs://b/s"},
         "flink_job", {"main_jar_file_uri": "gs://b/x.jar", "savepoint_uri": "gs://b/s"}),
        ({"job_type": "hive", "queries": ["SHOW TABLES"], "query_variables": {"a": "b"},
          "continue_on_failure": True}, "hive_job",
         {"query_list": {"queries": ["SHOW TABLES"]}, "script_variables": {"a": "b"},
          "continue_on_failure": True}),
        ({"job_type": "pig", "query_file_uri": "gs://b/x.pig"}, "pig_job",
         {"query_file_uri": "gs://b/x.pig"}),
        ({"job_type": "presto", "queries": ["SELECT 1"], "output_format": "CSV"}, "presto_job",
         {"query_list": {"queries": ["SELECT 1"]}, "output_format": "CSV"}),
        ({"job_type": "trino", "queries": ["SELECT 1"], "client_tags": ["t"]}, "trino_job",
         {"query_list": {"queries": ["SELECT 1"]}, "client_tags": ["t"]}),
    ],
)  # fmt: skip
def test_each_kind_of_job_is_the_one_that_google_knows(params, field, work):
    where = {"region": REGION, "cluster_name": "c", "properties": {"p": "1"}}
    spec = job.spec(context(params | where, operator="dataproc.submit_job"))
    made = Job(spec.work)  # Google's own type refuses fields that it does not have
    assert Job.pb(made).WhichOneof("type_job") == field
    assert made == Job({field: work | {"properties": {"p": "1"}}})


@pytest.mark.usefixtures("dataproc")
def test_a_kind_that_the_local_dataproc_has_not_is_named():
    params = {"region": REGION, "cluster_name": "c", "job_type": "hive", "queries": ["SELECT 1"]}
    with pytest.raises(TaskFailed, match="A hive_job is not implemented by the local Dataproc"):
        job.execute(context(params, operator="dataproc.submit_job"))
    params = {"region": REGION, "main_r_file_uri": "gs://b/x.R"}
    with pytest.raises(TaskFailed, match="A spark_r_batch is not implemented"):
        batch.execute(context(params, operator="dataproc.submit_batch"))


class TestChanges:
    def run(self, what, name, **params):
        params = {"region": REGION, "cluster_name": name, **params}
        operator = f"dataproc.{what}_cluster"
        # Each of these is a try of its own, with request ids of its own.
        task = context(params, operator=operator, task_id=f"{what}-{uuid.uuid4()}")
        return find(operator).execute(task)

    def state(self, dataproc, name):
        return dataproc.clusters.get_cluster(**SCOPE, cluster_name=name).status.state.name

    def test_one_is_stopped_and_started_however_often_it_is_asked_for(self, dataproc):
        dataproc.create_cluster("lives")
        for what, state in (("stop", "STOPPED"), ("start", "RUNNING")):
            for _ in range(2):
                assert self.run(what, "lives")["state"] == state
            assert self.state(dataproc, "lives") == state

    def test_one_gets_other_machines(self, dataproc):
        dataproc.create_cluster("grows", config={"worker_config": {"num_instances": 2}})
        done = self.run("update", "grows", num_workers=5, num_secondary_workers=3)
        assert done == {
            "cluster_name": "grows",
            "project": PROJECT,
            "region": REGION,
            "state": "RUNNING",
            "num_workers": 5,
            "num_secondary_workers": 3,
        }
        history = dataproc.clusters.get_cluster(**SCOPE, cluster_name="grows").status_history
        again = self.run("update", "grows", num_workers=5, decommission_timeout=60)
        assert again == done
        after = dataproc.clusters.get_cluster(**SCOPE, cluster_name="grows").status_history
        assert len(after) == len(history)

    def test_one_that_is_not_there_or_not_ready_is_said(self, dataproc):
        with pytest.raises(TaskFailed, match="there is no Dataproc cluster nowhere in region"):
            self.run("start", "nowhere")
        dataproc.create_cluster("stopped")
        self.run("stop", "stopped")
        params = {"region": REGION, "cluster_name": "stopped", "num_workers": 3}
        task = context(params, operator="dataproc.update_cluster")
        update = find("dataproc.update_cluster")
        handle = update.submit(task)
        assert isinstance(update.poll(task, handle), Pending)  # until somebody starts it
        dataproc.clusters.delete_cluster(**SCOPE, cluster_name="stopped").result(polling=QUICK)
        with pytest.raises(TaskFailed, match="stopped is gone, so it can't be changed"):
            update.poll(task, handle)


def test_the_drivers_files_are_where_it_works(dataproc):
    dataproc.create_cluster()
    uri = dataproc.upload("settings.ini", "x = 1")
    script = "print(open('settings.ini').read())"
    job_id = dataproc.jobs.submit_job(**SCOPE, job=_with_file(dataproc, script, uri))
    done = dataproc.wait_for(job_id.reference.job_id)
    assert done.status.state.name == "DONE", done.status.details


def _with_file(dataproc, script, uri):
    work = dataproc.job(script)
    work["pyspark_job"]["file_uris"] = [uri, uri]
    return work


@pytest.mark.usefixtures("dataproc")
def test_jobs_of_other_kinds_reach_dataproc_as_such():
    task = context(
        {
            "region": REGION,
            "cluster_name": "nowhere",
            "queries": ["SELECT 1"],
            "query_variables": {"a": "b"},
        },
        operator="dataproc.submit_job",
    )
    spec = job.spec(task)
    assert spec.work == {
        "spark_sql_job": {
            "properties": {},
            "query_list": {"queries": ["SELECT 1"]},
            "script_variables": {"a": "b"},
        }
    }
    with pytest.raises(TaskFailed, match=r"NOT_FOUND: .*clusters/nowhere"):
        job.execute(task)
