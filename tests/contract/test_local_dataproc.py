"""The local Dataproc answers the official clients as Google's does."""

from __future__ import annotations

import io
import os
import re
import signal
import tarfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psutil
import pytest
import requests
from google.api_core.exceptions import (
    Aborted,
    AlreadyExists,
    Cancelled,
    FailedPrecondition,
    InvalidArgument,
    MethodNotImplemented,
    NotFound,
)
from google.cloud.storage import Client

from pydag_emulators.dataproc.storage import Storage
from tests.support import is_alive, wait_until
from tests.support.local_google import (
    CLUSTER,
    LOCATION,
    PROJECT,
    QUICK,
    REGION,
    SCOPE,
    LocalDataproc,
    cloud_storage,
)

pytestmark = pytest.mark.slow

SLEEP = "import time; print('started', flush=True); time.sleep(600)"


@pytest.fixture(scope="module")
def dataproc(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dataproc")
    with cloud_storage(directory) as url:
        service = LocalDataproc(directory, url).start()
        try:
            service.create_cluster()
            yield service
        finally:
            service.close()


@pytest.fixture
def own(tmp_path):
    """Makes a service of the test's own, with a cluster."""
    made = []
    with cloud_storage(tmp_path) as url:

        def make(**options):
            made.append(LocalDataproc(tmp_path, url, **options).start())
            made[-1].create_cluster()
            return made[-1]

        yield make
        for service in made:
            service.close()


def test_two_that_need_a_bucket_at_once_make_it_once(tmp_path, monkeypatch):
    look, both_have_looked = Client.lookup_bucket, Barrier(2, timeout=20)

    def lookup_bucket(self, name):
        found = look(self, name)
        both_have_looked.wait()
        return found

    monkeypatch.setattr(Client, "lookup_bucket", lookup_bucket)
    with cloud_storage(tmp_path) as url, ThreadPoolExecutor(2) as threads:
        made = [threads.submit(Storage(url).make_bucket, "p", "staging") for _ in range(2)]
        assert [each.result() for each in made] == [None, None]


def nap():
    """An argument for `sleep` that no other process has."""
    return f"600.{uuid.uuid4().int}"


def sleeping(name):
    """The living processes `sleep <name>`."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["cmdline"] == ["sleep", name]
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


class TestClusters:
    def test_a_cluster_is_created_in_its_time(self, own):
        dataproc = own(delay=1.0)
        operation = dataproc.clusters.create_cluster(
            **SCOPE, cluster={"cluster_name": "new", "labels": {"pydag-run": "r1"}}
        )
        seen = dataproc.clusters.get_cluster(**SCOPE, cluster_name="new")
        assert seen.status.state.name == "CREATING"
        with pytest.raises(FailedPrecondition, match="cannot accept jobs"):
            dataproc.jobs.submit_job(
                **SCOPE, job=dataproc.job("") | {"placement": {"cluster_name": "new"}}
            )
        made = operation.result(timeout=60, polling=QUICK)
        assert made.status.state.name == "RUNNING"
        seen = dataproc.clusters.get_cluster(**SCOPE, cluster_name="new")
        assert seen.status.state.name == "RUNNING"
        assert [status.state.name for status in seen.status_history] == ["CREATING"]
        assert seen.cluster_uuid == made.cluster_uuid
        assert seen.labels["pydag-run"] == "r1"
        assert seen.labels["goog-dataproc-cluster-name"] == "new"
        assert operation.metadata.operation_type == "CREATE"

    def test_a_name_is_taken_once(self, dataproc):
        with pytest.raises(AlreadyExists, match=f"regions/{REGION}/clusters/{CLUSTER}"):
            dataproc.create_cluster()

    def test_a_repeated_request_gives_the_operation_of_the_first(self, dataproc):
        request = {
            **SCOPE,
            "cluster": {"cluster_name": "repeated"},
            "request_id": "the-same",
        }
        first = dataproc.clusters.create_cluster(request=request)
        second = dataproc.clusters.create_cluster(request=request)
        assert first.operation.name == second.operation.name

    def test_a_region_is_a_world_of_its_own(self, dataproc):
        elsewhere = {"project_id": PROJECT, "region": "europe-west1"}
        with pytest.raises(NotFound):
            dataproc.clusters.get_cluster(**elsewhere, cluster_name=CLUSTER)

    def test_listing_filters_by_state_and_labels(self, dataproc):
        dataproc.create_cluster("labelled", labels={"env": "test"})

        def names(text):
            found = dataproc.clusters.list_clusters(request={**SCOPE, "filter": text})
            return [cluster.cluster_name for cluster in found]

        assert names("labels.env = test") == ["labelled"]
        assert names("status.state = ACTIVE AND labels.env = *") == ["labelled"]
        assert names("status.state = INACTIVE AND labels.env = *") == []
        assert names("clusterName = labelled") == ["labelled"]
        assert {"labelled", CLUSTER} <= set(names(""))
        with pytest.raises(InvalidArgument, match="no field zone"):
            names("zone = a")

    def test_pages_lead_through_a_list(self, dataproc):
        for number in range(5):
            dataproc.create_cluster(f"page-{number}", labels={"paged": "yes"})
        request = {**SCOPE, "filter": "labels.paged = yes", "page_size": 2}
        pages = dataproc.clusters.list_clusters(request=request).pages
        assert [len(page.clusters) for page in pages] == [2, 2, 1]

    def test_labels_and_sizes_can_be_changed_and_nothing_else(self, dataproc):
        dataproc.create_cluster("relabelled", labels={"old": "yes"})
        request = {
            **SCOPE,
            "cluster_name": "relabelled",
            "cluster": {"labels": {"new": "yes"}},
            "update_mask": {"paths": ["labels"]},
        }
        dataproc.clusters.update_cluster(request=request).result(polling=QUICK)
        labels = dataproc.clusters.get_cluster(**SCOPE, cluster_name="relabelled").labels
        assert labels["new"] == "yes"
        assert "old" not in labels
        request["update_mask"] = {"paths": ["config.worker_config.num_instances"]}
        request["cluster"] = {"config": {"worker_config": {"num_instances": 5}}}
        resized = dataproc.clusters.update_cluster(request=request).result(polling=QUICK)
        assert resized.config.worker_config.num_instances == 5
        assert resized.status_history[-1].state.name == "UPDATING"
        request["update_mask"] = {"paths": ["config.autoscaling_config.policy_uri"]}
        with pytest.raises(MethodNotImplemented, match="policy_uri"):
            dataproc.clusters.update_cluster(request=request)

    def test_a_deleted_cluster_is_gone_and_its_name_free(self, dataproc):
        first = dataproc.create_cluster("short-lived")
        dataproc.clusters.delete_cluster(**SCOPE, cluster_name="short-lived").result(polling=QUICK)
        with pytest.raises(NotFound, match="clusters/short-lived"):
            dataproc.clusters.get_cluster(**SCOPE, cluster_name="short-lived")
        with pytest.raises(NotFound):
            dataproc.clusters.delete_cluster(**SCOPE, cluster_name="short-lived")
        assert dataproc.create_cluster("short-lived").cluster_uuid != first.cluster_uuid

    def test_deleting_a_cluster_ends_its_jobs(self, own):
        dataproc = own()
        job_id = dataproc.submit(SLEEP)
        dataproc.wait_for(job_id, "RUNNING")
        dataproc.clusters.delete_cluster(**SCOPE, cluster_name=CLUSTER).result(polling=QUICK)
        job = dataproc.wait_for(job_id)
        assert job.status.state.name == "ERROR"
        assert "deleted" in job.status.details

    @pytest.mark.parametrize("name", ["Upper", "1digit", "under_score", "x" * 53, "end-"])
    def test_names_that_google_refuses_are_refused(self, dataproc, name):
        with pytest.raises(InvalidArgument, match="Invalid cluster name"):
            dataproc.create_cluster(name)

    @pytest.mark.parametrize("labels", [{"Upper": "x"}, {"key": "a.b"}, {"key": "x" * 64}])
    def test_labels_that_google_refuses_are_refused(self, dataproc, labels):
        with pytest.raises(InvalidArgument, match="label"):
            dataproc.create_cluster("fine", labels=labels)


class TestJobs:
    def test_a_job_runs_and_keeps_its_history(self, dataproc):
        job_id = dataproc.submit(
            "import sys; print('out', sys.argv[1:]); print('err', file=sys.stderr)",
            "--params",
            '{"a": "b c"}',
            job_id="whole-life",
            labels={"pydag-try": "1"},
        )
        assert job_id == "whole-life"
        job = dataproc.wait_for(job_id)
        assert job.status.state.name == "DONE"
        assert job.done
        history = [status.state.name for status in job.status_history]
        assert history == ["PENDING", "SETUP_DONE", "RUNNING"]
        times = [status.state_start_time for status in [*job.status_history, job.status]]
        assert times == sorted(times)
        assert job.labels["pydag-try"] == "1"
        assert sorted(dataproc.output(job_id).splitlines()) == [
            "err",
            """out ['--params', '{"a": "b c"}']""",
        ]
        (record,) = [line for line in dataproc.journal() if line["id"] == job_id]
        assert (record["kind"], record["state"]) == ("pyspark", "DONE")
        assert record["started"] <= record["ended"]

    def test_an_operation_ends_with_the_job(self, dataproc):
        operation = dataproc.jobs.submit_job_as_operation(**SCOPE, job=dataproc.job("print(1)"))
        assert operation.metadata.operation_type == "pyspark_job"
        job = operation.result(timeout=60, polling=QUICK)
        assert job.status.state.name == "DONE"
        assert job.reference.job_id == operation.metadata.job_id

    def test_a_failed_job_tells_its_exception_and_where_its_output_is(self, dataproc):
        operation = dataproc.jobs.submit_job_as_operation(
            **SCOPE, job=dataproc.job("print('before'); raise ValueError('no such column')")
        )
        with pytest.raises(Aborted) as error:
            operation.result(timeout=60, polling=QUICK)
        message = str(error.value)
        assert message.startswith("409 Job failed with message [ValueError: no such column]")
        # How pyDag finds the output.
        found = re.search("gs://(.*)driveroutput", message)
        job = dataproc.get(operation.metadata.job_id)
        assert f"gs://{found[1]}driveroutput" == job.driver_output_resource_uri
        assert "before" in dataproc.output(job.reference.job_id)

    def test_a_job_that_exits_without_a_word_failed_all_the_same(self, dataproc):
        job = dataproc.wait_for(dataproc.submit("raise SystemExit(3)"))
        assert job.status.state.name == "ERROR"
        assert "exit code 3" in job.status.details

    def test_a_job_whose_script_is_missing_fails(self, dataproc):
        job = dataproc.job("")
        job["pyspark_job"]["main_python_file_uri"] = "gs://scripts/missing.py"
        job_id = dataproc.jobs.submit_job(**SCOPE, job=job).reference.job_id
        failed = dataproc.wait_for(job_id)
        assert failed.status.state.name == "ERROR"
        assert "gs://scripts/missing.py" in failed.status.details
        assert "gs://scripts/missing.py" in dataproc.output(job_id)

    def test_files_of_a_clusters_spark_are_those_of_the_package(self, dataproc):
        job = dataproc.job("print(open('pi.py').read().count('SparkSession'))")
        example = "file:///usr/lib/spark/examples/src/main/python/pi.py"
        job["pyspark_job"]["file_uris"] = [example]
        job_id = dataproc.jobs.submit_job(**SCOPE, job=job).reference.job_id
        assert dataproc.wait_for(job_id).status.state.name == "DONE"
        assert int(dataproc.output(job_id)) > 0

    def test_a_given_id_is_taken_once_even_among_many(self, dataproc):
        job = dataproc.job("print('once')", job_id="only-one")

        def submit(_):
            try:
                return dataproc.jobs.submit_job(**SCOPE, job=job).reference.job_id
            except AlreadyExists as error:
                return error

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(submit, range(8)))
        assert answers.count("only-one") == 1
        dataproc.wait_for("only-one")
        with pytest.raises(AlreadyExists, match="jobs/only-one"):
            dataproc.jobs.submit_job(**SCOPE, job=job)
        assert [line["id"] for line in dataproc.journal()].count("only-one") == 1

    def test_a_repeated_request_gives_the_first_job(self, dataproc):
        request = {**SCOPE, "job": dataproc.job("print(1)"), "request_id": "submitted-twice"}
        first = dataproc.jobs.submit_job(request=request)
        dataproc.wait_for(first.reference.job_id)
        second = dataproc.jobs.submit_job(request=request)
        assert second.job_uuid == first.job_uuid
        assert second.status.state.name == "DONE"
        as_operation = dataproc.jobs.submit_job_as_operation(request=request)
        assert as_operation.metadata.job_id == first.reference.job_id

    def test_output_appears_while_the_job_runs(self, dataproc):
        job_id = dataproc.submit(SLEEP)
        wait_until(lambda: dataproc.output(job_id) == "started\n", "output of a running job")
        assert dataproc.state(job_id) == "RUNNING"
        dataproc.jobs.cancel_job(**SCOPE, job_id=job_id)
        dataproc.wait_for(job_id)

    def test_cancelling_kills_all_that_the_job_started(self, dataproc):
        family = (
            "import subprocess, sys, time; "
            "subprocess.Popen(['sleep', sys.argv[1]]); "
            # as PySpark's worker daemon does, in a process group of its own
            "subprocess.Popen(['sleep', sys.argv[2]], process_group=0); "
            "print('started', flush=True); time.sleep(600)"
        )
        names = nap(), nap()
        job = dataproc.job(family, *names, job_id="cancelled-family")
        operation = dataproc.jobs.submit_job_as_operation(**SCOPE, job=job)
        wait_until(lambda: dataproc.output("cancelled-family"), "the family to have started")
        (child,), (daemon,) = sleeping(names[0]), sleeping(names[1])
        answer = dataproc.jobs.cancel_job(**SCOPE, job_id="cancelled-family")
        assert answer.status.state.name == "CANCEL_PENDING"
        job = dataproc.wait_for("cancelled-family")
        assert job.status.state.name == "CANCELLED"
        history = [status.state.name for status in job.status_history]
        assert history[-2:] == ["CANCEL_PENDING", "CANCEL_STARTED"]
        assert not is_alive(child.pid)
        assert not is_alive(daemon.pid)
        with pytest.raises(Cancelled):
            operation.result(timeout=60, polling=QUICK)

    def test_nothing_that_a_job_left_running_outlives_it(self, dataproc):
        name = nap()
        left = "import subprocess, sys; subprocess.Popen(['sleep', sys.argv[1]])"
        assert dataproc.wait_for(dataproc.submit(left, name)).status.state.name == "DONE"
        assert sleeping(name) == []

    def test_long_output_comes_in_parts(self, dataproc):
        megabytes = 9
        job_id = dataproc.submit(f"print(('x' * 1023 + chr(10)) * 1024 * {megabytes}, end='')")
        dataproc.wait_for(job_id)
        parts = [dataproc.output(job_id, number) for number in range(3)]
        assert sum(map(len, parts)) == megabytes << 20
        assert [bool(part) for part in parts] == [True, True, False]

    def test_an_operation_can_be_cancelled(self, dataproc):
        operation = dataproc.jobs.submit_job_as_operation(**SCOPE, job=dataproc.job(SLEEP))
        dataproc.wait_for(operation.metadata.job_id, "RUNNING")
        assert operation.cancel()
        assert dataproc.wait_for(operation.metadata.job_id).status.state.name == "CANCELLED"

    def test_a_job_that_ended_can_be_deleted_but_not_cancelled(self, dataproc):
        job_id = dataproc.submit("print(1)")
        dataproc.wait_for(job_id)
        with pytest.raises(FailedPrecondition, match="in state: 'DONE'; cancellable states"):
            dataproc.jobs.cancel_job(**SCOPE, job_id=job_id)
        dataproc.jobs.delete_job(**SCOPE, job_id=job_id)
        with pytest.raises(NotFound, match=f"jobs/{job_id}"):
            dataproc.get(job_id)
        with pytest.raises(NotFound):
            dataproc.jobs.cancel_job(**SCOPE, job_id=job_id)

    def test_jobs_wait_their_turn_and_can_be_cancelled_while_they_do(self, own):
        dataproc = own(jobs=1)
        running = dataproc.submit(SLEEP, job_id="running")
        dataproc.wait_for(running, "RUNNING")
        waiting = dataproc.submit("print('never')", job_id="waiting")
        assert dataproc.state(waiting) == "PENDING"
        dataproc.jobs.cancel_job(**SCOPE, job_id=waiting)
        assert dataproc.wait_for(waiting).status.state.name == "CANCELLED"
        dataproc.jobs.cancel_job(**SCOPE, job_id=running)
        dataproc.wait_for(running)
        assert [line["id"] for line in dataproc.journal()] == ["running"]

    def test_listing_filters_by_state_labels_and_cluster(self, dataproc):
        job_id = dataproc.submit("print(1)", labels={"listed": "yes"})
        dataproc.wait_for(job_id)

        def ids(**request):
            found = dataproc.jobs.list_jobs(request={**SCOPE, **request})
            return [job.reference.job_id for job in found]

        text = "labels.listed = yes"
        assert ids(filter=text) == [job_id]
        assert ids(filter=f"status.state = NON_ACTIVE AND {text}") == [job_id]
        assert ids(filter=f"status.state = ACTIVE AND {text}") == []
        assert ids(filter=text, job_state_matcher="ACTIVE") == []
        assert ids(filter=text, job_state_matcher="NON_ACTIVE") == [job_id]
        assert ids(filter=text, cluster_name=CLUSTER) == [job_id]
        assert ids(filter=text, cluster_name="another") == []

    def test_what_a_job_lacks_is_said(self, dataproc):
        with pytest.raises(NotFound, match="clusters/nowhere"):
            dataproc.jobs.submit_job(
                **SCOPE, job=dataproc.job("") | {"placement": {"cluster_name": "nowhere"}}
            )
        with pytest.raises(InvalidArgument, match="Invalid job id"):
            dataproc.jobs.submit_job(
                **SCOPE, job=dataproc.job("") | {"reference": {"job_id": "with.dots"}}
            )
        with pytest.raises(InvalidArgument, match="request_id"):
            dataproc.jobs.submit_job(
                request={**SCOPE, "job": dataproc.job(""), "request_id": "x" * 41}
            )
        with pytest.raises(InvalidArgument, match="type_job"):
            dataproc.jobs.submit_job(**SCOPE, job={"placement": {"cluster_name": CLUSTER}})


class TestLivesOfClusters:
    def state(self, dataproc, name):
        return dataproc.clusters.get_cluster(**SCOPE, cluster_name=name).status.state.name

    def test_one_is_stopped_and_started(self, own):
        dataproc = own(delay=0.2)
        job_id = dataproc.submit(SLEEP)
        dataproc.wait_for(job_id, "RUNNING")
        request = {**SCOPE, "cluster_name": CLUSTER, "request_id": "stop"}
        stopping = dataproc.clusters.stop_cluster(request=request)
        again = dataproc.clusters.stop_cluster(request=request)
        assert again.operation.name == stopping.operation.name
        stopped = stopping.result(timeout=60, polling=QUICK)
        assert stopped.status.state.name == "STOPPED"
        assert stopped.status_history[-1].state.name == "STOPPING"
        assert dataproc.wait_for(job_id).status.state.name == "ERROR"
        with pytest.raises(FailedPrecondition, match="in state STOPPED"):
            dataproc.submit("print(1)")
        with pytest.raises(FailedPrecondition, match="no STOP there"):
            dataproc.clusters.stop_cluster(request={**request, "request_id": "again"})
        starting = dataproc.clusters.start_cluster(request={**request, "request_id": "start"})
        started = starting.result(timeout=60, polling=QUICK)
        assert started.status_history[-1].state.name == "STARTING"
        assert self.state(dataproc, CLUSTER) == "RUNNING"

    def test_one_that_is_to_break_becomes_error_and_is_diagnosed(self, dataproc):
        properties = {"pydag-local:error": "Insufficient 'CPUS' quota"}
        with pytest.raises(InvalidArgument, match="Insufficient 'CPUS' quota"):
            dataproc.create_cluster(
                "broken", config={"software_config": {"properties": properties}}
            )
        cluster = dataproc.clusters.get_cluster(**SCOPE, cluster_name="broken")
        assert (cluster.status.state.name, cluster.status.detail) == (
            "ERROR",
            "Insufficient 'CPUS' quota",
        )
        diagnosed = dataproc.clusters.diagnose_cluster(**SCOPE, cluster_name="broken")
        uri = diagnosed.result(timeout=60, polling=QUICK).output_uri
        with tarfile.open(fileobj=io.BytesIO(dataproc.bytes_of(uri))) as packed:
            assert b"Insufficient" in packed.extractfile("cluster.json").read()

    def test_an_idle_limit_that_google_refuses_is_refused(self, dataproc):
        for lifecycle in (
            {"idle_delete_ttl": {"seconds": 60}},
            {"auto_delete_ttl": {"seconds": 1}},
            {"auto_stop_ttl": {"seconds": 3600}},
        ):
            with pytest.raises(
                (InvalidArgument, MethodNotImplemented), match=r"_(delete|stop)_ttl"
            ):
                dataproc.create_cluster("idle", config={"lifecycle_config": lifecycle})


class TestBatches:
    def test_one_runs_and_tells_what_it_did(self, dataproc):
        operation = dataproc.create_batch(
            "import sys; print('hello', sys.argv[1])", "batch", batch_id="hello", labels={"a": "b"}
        )
        result = operation.result(timeout=60, polling=QUICK)
        assert result.name == f"{LOCATION}/batches/hello"
        batch = dataproc.batch("hello")
        assert (batch.state.name, dict(batch.labels)) == ("SUCCEEDED", {"a": "b"})
        assert [s.state.name for s in batch.state_history] == ["PENDING", "RUNNING"]
        assert dataproc.text_of(f"{batch.runtime_info.output_uri}.000000000") == "hello batch\n"
        journal = wait_until(lambda: [j for j in dataproc.journal() if j["id"] == "hello"], "it")
        assert [(line["kind"], line["state"]) for line in journal] == [("batch", "DONE")]

    def test_an_id_is_taken_once_and_a_request_id_answers_again(self, dataproc):
        request = {
            "parent": LOCATION,
            "batch": {"pyspark_batch": {"main_python_file_uri": dataproc.upload("b.py", "")}},
            "batch_id": "taken",
        }
        first = dataproc.batches.create_batch(request={**request, "request_id": "r1"})
        again = dataproc.batches.create_batch(request={**request, "request_id": "r1"})
        assert again.operation.name == first.operation.name
        with pytest.raises(AlreadyExists, match="batches/taken"):
            dataproc.batches.create_batch(request=request)

    def test_a_failing_one_says_why(self, dataproc):
        operation = dataproc.create_batch("raise ValueError('no luck')", batch_id="failing")
        with pytest.raises(Aborted, match="ValueError: no luck"):
            operation.result(timeout=60, polling=QUICK)
        batch = dataproc.batch("failing")
        assert batch.state.name == "FAILED"
        assert batch.state_message.startswith("Batch failed with message [ValueError: no luck]")

    def test_cancelling_its_operation_ends_it(self, dataproc):
        operation = dataproc.create_batch(SLEEP, batch_id="long")
        dataproc.wait_for_batch("long", "RUNNING")
        with pytest.raises(FailedPrecondition, match="cancel it before"):
            dataproc.batches.delete_batch(name=f"{LOCATION}/batches/long")
        name = dataproc.batch("long").operation
        assert name == operation.operation.name
        dataproc.batches.cancel_operation({"name": name})
        assert dataproc.wait_for_batch("long").state.name == "CANCELLED"
        dataproc.batches.cancel_operation({"name": name})
        with pytest.raises(Cancelled):
            operation.result(timeout=60, polling=QUICK)
        dataproc.batches.delete_batch(name=f"{LOCATION}/batches/long")
        with pytest.raises(NotFound, match="batches/long"):
            dataproc.batch("long")

    def test_its_job_is_nobodys_business(self, dataproc):
        dataproc.create_batch("", batch_id="hidden").result(timeout=60, polling=QUICK)
        job_id = f"srvls-batch-{dataproc.batch('hidden').uuid}"
        with pytest.raises(NotFound):
            dataproc.get(job_id)
        with pytest.raises(NotFound):
            dataproc.jobs.cancel_job(**SCOPE, job_id=job_id)
        ids = [job.reference.job_id for job in dataproc.jobs.list_jobs(request=SCOPE)]
        assert not [job_id for job_id in ids if job_id.startswith("srvls")]

    def test_listing_filters_by_state_and_labels(self, dataproc):
        operation = dataproc.create_batch("", batch_id="listed", labels={"listed": "yes"})
        operation.result(timeout=60, polling=QUICK)

        def names(text):
            found = dataproc.batches.list_batches({"parent": LOCATION, "filter": text})
            return [batch.name.rpartition("/")[2] for batch in found]

        assert names("labels.listed = yes") == ["listed"]
        assert names("state = SUCCEEDED AND labels.listed = yes") == ["listed"]
        assert names("state = RUNNING AND labels.listed = yes") == []

    def test_it_survives_the_service(self, own, tmp_path):
        dataproc = own()
        dataproc.create_batch(TestFaults.ONCE, str(tmp_path), batch_id="adopted")
        wait_until((tmp_path / "ran").exists, "the batch to run")
        dataproc.kill()
        dataproc.start()
        assert dataproc.batch("adopted").state.name == "RUNNING"
        with pytest.raises(AlreadyExists):
            dataproc.create_batch(TestFaults.ONCE, str(tmp_path), batch_id="adopted")
        (tmp_path / "go").touch()
        assert dataproc.wait_for_batch("adopted").state.name == "SUCCEEDED"
        assert (tmp_path / "ran").read_text() == "ran\n"
        assert [line["id"] for line in dataproc.journal()] == ["adopted"]

    def test_what_is_wrong_with_one_is_said(self, dataproc):
        def create(batch_id="wrong", **batch):
            dataproc.batches.create_batch(parent=LOCATION, batch=batch, batch_id=batch_id)

        script = {"main_python_file_uri": "gs://b/x.py"}
        with pytest.raises(InvalidArgument, match="batch_config"):
            create()
        with pytest.raises(InvalidArgument, match="main_python_file_uri"):
            create(pyspark_batch={})
        with pytest.raises(InvalidArgument, match="Invalid batch id 'No'"):
            create("No", pyspark_batch=script)
        with pytest.raises(MethodNotImplemented, match="spark_r_batch"):
            create(spark_r_batch={"main_r_file_uri": "gs://b/x.R"})
        with pytest.raises(MethodNotImplemented, match="container_image"):
            create(pyspark_batch=script, runtime_config={"container_image": "mine"})


class TestWhatIsNotThere:
    def test_jobs_of_other_kinds_are_refused(self, dataproc):
        for kind in ("hive", "pig", "hadoop", "presto", "trino", "flink", "spark_r"):
            job = {"placement": {"cluster_name": CLUSTER}, f"{kind}_job": {}}
            with pytest.raises(MethodNotImplemented, match=f"{kind}_job is not implemented by the"):
                dataproc.jobs.submit_job(**SCOPE, job=job)

    def test_an_unknown_operation_is_not_found(self, dataproc):
        name = f"projects/{PROJECT}/regions/{REGION}/operations/none"
        with pytest.raises(NotFound):
            dataproc.clusters.transport.operations_client.get_operation(name)


class TestFaults:
    # Appends a line each time it is run, and waits until it is told to go on.
    ONCE = """
import pathlib, sys, time
here = pathlib.Path(sys.argv[1])
with (here / "ran").open("a") as ran:
    ran.write("ran\\n")
print("started", flush=True)
while not (here / "go").exists():
    time.sleep(0.02)
print("over", flush=True)
"""

    def test_a_job_outlives_the_service_and_is_found_again(self, own, tmp_path):
        dataproc = own()
        job_id = dataproc.submit(self.ONCE, str(tmp_path), job_id="adopted")
        wait_until((tmp_path / "ran").exists, "the job to run")
        dataproc.kill()
        dataproc.start()
        assert dataproc.state(job_id) == "RUNNING"
        with pytest.raises(AlreadyExists):
            dataproc.submit(self.ONCE, str(tmp_path), job_id="adopted")
        (tmp_path / "go").touch()
        assert dataproc.wait_for(job_id).status.state.name == "DONE"
        assert (tmp_path / "ran").read_text() == "ran\n"
        assert dataproc.output(job_id) == "started\nover\n"
        assert [line["id"] for line in dataproc.journal()] == ["adopted"]

    def test_a_job_that_ended_while_the_service_was_away_is_told_right(self, own, tmp_path):
        dataproc = own()
        good = dataproc.submit(self.ONCE, str(tmp_path), job_id="good")
        bad = dataproc.submit(self.ONCE + "raise ValueError(7)", str(tmp_path), job_id="bad")
        killed = dataproc.submit(SLEEP, job_id="killed")
        for job_id in (good, bad, killed):
            dataproc.wait_for(job_id, "RUNNING")
        wait_until(
            lambda: (tmp_path / "ran").exists() and (tmp_path / "ran").read_text() == "ran\n" * 2,
            "both jobs to run",
        )
        leaders = {
            job_id: dataproc.data / "jobs" / dataproc.get(job_id).job_uuid
            for job_id in (good, bad, killed)
        }
        dataproc.kill()
        (tmp_path / "go").touch()
        for job_id in (good, bad):
            wait_until((leaders[job_id] / "exit").exists, f"{job_id} to end")
        os.killpg(int((leaders[killed] / "pid").read_text()), signal.SIGKILL)
        dataproc.start()
        assert dataproc.wait_for(good).status.state.name == "DONE"
        assert "ValueError: 7" in dataproc.wait_for(bad).status.details
        assert "killed" in dataproc.wait_for(killed).status.details
        states = {line["id"]: line["state"] for line in dataproc.journal()}
        assert states == {"good": "DONE", "bad": "ERROR", "killed": "ERROR"}
        assert len(dataproc.journal()) == 3

    def test_a_job_that_waited_when_the_service_was_killed_runs_later(self, own, tmp_path):
        dataproc = own(jobs=1)
        dataproc.submit(self.ONCE, str(tmp_path), job_id="first")
        dataproc.wait_for("first", "RUNNING")
        dataproc.submit("print('second')", job_id="second")
        dataproc.kill()
        dataproc.start()
        assert dataproc.state("second") == "PENDING"
        (tmp_path / "go").touch()
        assert dataproc.wait_for("second").status.state.name == "DONE"
        assert [line["id"] for line in dataproc.journal()] == ["first", "second"]

    def test_a_cancellation_survives_the_service(self, own):
        dataproc = own()
        job_id = dataproc.submit(SLEEP)
        dataproc.wait_for(job_id, "RUNNING")
        dataproc.jobs.cancel_job(**SCOPE, job_id=job_id)
        dataproc.kill()
        dataproc.start()
        assert dataproc.wait_for(job_id).status.state.name == "CANCELLED"

    def test_clusters_operations_and_request_ids_survive_the_service(self, own):
        dataproc = own()
        request = {**SCOPE, "cluster": {"cluster_name": "durable"}, "request_id": "before"}
        before = dataproc.clusters.create_cluster(request=request)
        dataproc.kill()
        dataproc.start()
        again = dataproc.clusters.create_cluster(request=request)
        assert again.operation.name == before.operation.name
        assert again.result(polling=QUICK).cluster_name == "durable"
        assert dataproc.clusters.get_cluster(**SCOPE, cluster_name="durable")

    def test_sigterm_ends_every_job_and_leaves_no_process(self, own):
        dataproc = own(jobs=1)
        name = nap()
        job_id = dataproc.submit("import os, sys; os.execvp('sleep', ['sleep', sys.argv[1]])", name)
        waiting = dataproc.submit("print('never')")
        (process,) = wait_until(lambda: sleeping(name), "the job to run")
        service = dataproc.pid
        os.kill(service, signal.SIGTERM)
        wait_until(lambda: not is_alive(service), "the service to end")
        assert not is_alive(process.pid)
        dataproc.stop()
        dataproc.start()
        for ended in (job_id, waiting):
            job = dataproc.get(ended)
            assert job.status.state.name == "ERROR"
            assert "stopped" in job.status.details
        assert [line["id"] for line in dataproc.journal()] == [job_id]

    def test_a_line_that_a_kill_cut_off_leaves_the_journal(self, own):
        dataproc = own()
        job_id = dataproc.submit("print(1)")
        dataproc.wait_for(job_id)
        wait_until(dataproc.journal, "the journal's line")
        dataproc.stop()
        with (dataproc.data / "journal.jsonl").open("a") as journal:
            journal.write('{"id": "half')
        dataproc.start()
        assert [line["id"] for line in dataproc.journal()] == [job_id]

    def test_two_services_cannot_share_a_directory(self, own, tmp_path):
        dataproc = own()
        second = LocalDataproc(tmp_path, "http://127.0.0.1:1")
        try:
            with pytest.raises(AssertionError, match="another local Dataproc uses"):
                second.start()
        finally:
            second.stop()
        assert dataproc.state(dataproc.submit("print(1)"))

    def test_what_a_web_page_can_send_is_no_call(self, dataproc):
        """gRPC is HTTP/2 from the first byte on, which no page can make a browser send."""
        with pytest.raises(requests.ConnectionError):
            requests.post(
                f"http://{dataproc.address}/google.cloud.dataproc.v1.ClusterController/ListClusters",
                data=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                headers={"Content-Type": "text/plain", "Origin": "http://evil.example"},
                timeout=10,
            )
