"""Asking for the jobs of many tries at once, against services in memory."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from google.api_core.exceptions import BadRequest, Forbidden, NotFound, ServiceUnavailable
from google.api_core.page_iterator import HTTPIterator
from google.cloud.dataproc_v1 import Job

from tests.unit.workers.support import Log, context
from workers import time_limit
from workers.contract.answer import by_place
from workers.errors import RemoteStateUnknown, TaskFailed
from workers.google import clients
from workers.google.job import answers_at_once
from workers.operators import Asked, Done, Pending, RemoteOperator, find


class BigQuery:
    """Jobs whose creation times are 0, 1, 2 … s after the first."""

    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    def __init__(self):
        self.jobs: dict[str, str] = {}
        self.listed: list[dict[str, object]] = []
        self.fetched: list[str] = []
        self.error: Exception | None = None

    def asked(self, *states, **handle):
        """Tries whose jobs are in these states."""
        found = []
        for state in states:
            number = len(self.jobs)
            self.jobs[f"j{number}"] = state
            place = {"connection": None, "project": "p", "location": "US", **handle}
            task = context(operator="bigquery.query", settings={"connections": {"GCP": {}}})
            created = self.start + number
            found.append(Asked(task, {**place, "job_id": f"j{number}", "created": created}))
        return found

    def list_jobs(self, project, *, state_filter, **which):
        if self.error:
            raise self.error
        assert state_filter == ["pending", "running"]
        self.listed.append(which | {"project": project})

        def answer(*, method, path, query_params):
            del method, path
            assert query_params == {"projection": "minimal"}
            return {
                "jobs": [
                    {"jobReference": {"jobId": job_id, "location": "US"}, "state": state}
                    for job_id, state in self.jobs.items()
                    if state != "DONE"
                ]
            }

        return HTTPIterator(
            None, answer, "/jobs", None, items_key="jobs", extra_params={"projection": "full"}
        )

    def get_job(self, job_id, **_options):
        self.fetched.append(job_id)
        if job_id not in self.jobs:
            raise NotFound("no job")
        return SimpleNamespace(
            state=self.jobs[job_id],
            error_result=None,
            statement_type="INSERT",
            num_dml_affected_rows=1,
            dml_stats=None,
            num_child_jobs=0,
            total_bytes_processed=10,
            total_bytes_billed=20,
            slot_millis=30,
            cache_hit=False,
            ddl_target_table=None,
            destination=None,
            referenced_tables=[],
        )


@pytest.fixture
def jobs(monkeypatch):
    jobs = BigQuery()
    monkeypatch.setattr(clients, "bigquery_client", lambda _access: jobs)
    return jobs


query = find("bigquery.query")


def answers(operator, asked):
    return dict(operator.poll_many(asked))


def test_one_list_tells_who_runs_and_only_the_others_are_fetched(jobs):
    asked = jobs.asked("RUNNING", "DONE", "PENDING", "RUNNING")
    found = answers(query, asked)
    states = [found[one] for one in asked]
    assert isinstance(states.pop(1), Done)
    assert states == [Pending(f"BigQuery job {s}") for s in ("RUNNING", "PENDING", "RUNNING")]
    assert jobs.fetched == ["j1"]
    (listed,) = jobs.listed
    assert listed["project"] == "p"
    assert listed["min_creation_time"].timestamp() == jobs.start
    assert listed["max_creation_time"].timestamp() == jobs.start + 3


def test_a_few_jobs_are_not_worth_a_list(jobs):
    found = answers(query, jobs.asked("RUNNING", "DONE"))
    assert [type(answer) for answer in found.values()] == [Pending, Done]
    assert jobs.listed == []


def test_each_project_is_listed(jobs):
    one, other = jobs.asked(*["RUNNING"] * 3), jobs.asked(*["RUNNING"] * 3, project="q")
    assert len(answers(query, one + other)) == 6
    assert [listed["project"] for listed in jobs.listed] == ["p", "q"]


def test_who_may_not_list_asks_one_by_one(jobs):
    jobs.error = Forbidden("no permission bigquery.jobs.list")
    found = answers(query, jobs.asked("RUNNING", "DONE", "RUNNING"))
    assert [type(answer) for answer in found.values()] == [Pending, Done, Pending]
    assert len(jobs.fetched) == 3


def test_without_an_answer_nobody_knows_anything(jobs):
    jobs.error = ServiceUnavailable("away")
    asked = jobs.asked("RUNNING", "DONE", "RUNNING")
    with time_limit.limited(0.0):
        assert answers(query, asked) == {}


def test_one_error_harms_no_other(jobs):
    asked = jobs.asked("DONE", "DONE", "DONE")
    del jobs.jobs["j1"]
    one, wrong, other = answers(query, asked).values()
    assert isinstance(one, Done)
    assert isinstance(other, Done)
    assert isinstance(wrong, RemoteStateUnknown)
    assert wrong.lasting
    assert "no job" in str(wrong)


def test_jobs_whose_creation_nobody_saw_are_listed_with_the_others(jobs):
    """Another client's job, a restored one: `created` is empty until a poll has found it."""
    asked = jobs.asked("RUNNING", "DONE", "PENDING", "RUNNING")
    asked[0].handle["created"] = None
    found = answers(query, asked)
    assert [type(found[one]) for one in asked] == [Pending, Done, Pending, Pending]
    (listed,) = jobs.listed
    assert listed["min_creation_time"].timestamp() == jobs.start + 1
    for one in asked:
        one.handle["created"] = None
    assert [type(answer) for answer in answers(query, asked).values()] == [
        Pending, Done, Pending, Pending,
    ]  # fmt: skip
    assert len(jobs.listed) == 1


def test_a_list_that_nobody_can_read_harms_no_poll(jobs):
    jobs.error = KeyError("jobReference")
    found = answers(query, jobs.asked("RUNNING", "DONE", "RUNNING"))
    assert [type(answer) for answer in found.values()] == [Pending, Done, Pending]


def test_what_there_is_no_time_for_gets_no_answer(jobs):
    with time_limit.limited(0.0):
        assert list(answers_at_once(query, jobs.asked("DONE", "DONE"))) == []
    assert jobs.fetched == []


def test_handles_are_parted_by_their_place(jobs):
    one, other = jobs.asked("RUNNING"), jobs.asked("RUNNING", location="EU")
    assert by_place([*one, *other, *one], "project") == [[*one, *other, *one]]
    assert by_place([*one, *other, *one], "project", "location") == [[*one, *one], other]


class Dataproc:
    """Jobs of one cluster."""

    def __init__(self):
        self.states: dict[str, str] = {}
        self.requests: list[dict[str, object]] = []
        self.fetched: list[str] = []
        self.cancelled: list[str] = []

    def asked(self, *states):
        found = []
        for state in states:
            job_id = f"j{len(self.states)}"
            self.states[job_id] = state
            place = {"connection": None, "project": "p", "region": "r", "cluster_name": "c"}
            task = context(operator="dataproc.submit_job", log=Log())
            found.append(Asked(task, {**place, "job_id": job_id, "output": {"tail": []}}))
        return found

    def job(self, job_id):
        return Job(reference={"job_id": job_id}, status={"state": self.states[job_id]})

    def list_jobs(self, *, request, **_options):
        self.requests.append(request)
        ended = ("DONE", "ERROR", "CANCELLED")
        return iter([self.job(name) for name, s in self.states.items() if s not in ended])

    def get_job(self, *, request, **_options):
        self.fetched.append(request["job_id"])
        return self.job(request["job_id"])

    def cancel_job(self, *, request, **_options):
        self.cancelled.append(request["job_id"])


@pytest.fixture
def spark(monkeypatch):
    spark = Dataproc()
    monkeypatch.setattr(clients, "job_client", lambda _access, _region: spark)
    return spark


submit_job = find("dataproc.submit_job")


def test_one_list_has_a_clusters_active_jobs(spark):
    asked = spark.asked("RUNNING", "DONE", "ERROR", "PENDING")
    found = answers(submit_job, asked)
    running, done, failed, pending = (found[one] for one in asked)
    assert running == Pending("Dataproc job RUNNING")
    assert pending == Pending("Dataproc job PENDING")
    assert done.result["job_id"] == "j1"
    assert isinstance(failed, TaskFailed)
    assert sorted(spark.fetched) == ["j1", "j2"]
    assert spark.requests == [
        {"project_id": "p", "region": "r", "cluster_name": "c", "job_state_matcher": 1}
    ]


def test_the_output_of_each_job_is_followed(spark, monkeypatch):
    followed = []
    monkeypatch.setattr(
        "workers.operators.dataproc.driver_output.follow",
        lambda _context, _access, uri, _cursor, *, over: followed.append((uri, over)),
    )
    job = spark.job
    monkeypatch.setattr(
        spark,
        "job",
        lambda name: Job(job(name), driver_output_resource_uri=f"gs://b/{name}"),
    )
    asked = spark.asked("RUNNING", "DONE", "RUNNING")
    answers(submit_job, asked)
    assert sorted(followed) == [("gs://b/j0", False), ("gs://b/j1", True), ("gs://b/j2", False)]


def test_an_end_whose_output_there_was_no_time_to_read_is_no_end_yet(spark, monkeypatch):
    monkeypatch.setattr("workers.operators.dataproc.driver_output.follow", lambda *_, **__: None)
    (one,) = spark.asked("DONE")
    job = Job(spark.job("j0"), driver_output_resource_uri="gs://b/x")
    monkeypatch.setattr(spark, "job", lambda _name: job)
    with time_limit.limited(0.0):
        assert submit_job.answer(one) == Pending("Dataproc job DONE, its output is being read")


def test_cancelling_a_dataproc_job_waits_until_it_has_stopped(spark, monkeypatch):
    (one,) = spark.asked("RUNNING")

    def sleep(_seconds):
        spark.states["j0"] = "CANCELLED"

    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    monkeypatch.setattr("workers.contract.wait.time", clock)
    submit_job.cancel(one.context, one.handle)
    assert spark.cancelled == ["j0"]
    assert spark.fetched == ["j0", "j0"]


class Counting(RemoteOperator):
    """An operator that only knows how to ask for one job."""

    def __init__(self, *polls):
        self.polls = list(polls)

    def handle(self, _context):
        return {}

    def submit(self, _context):
        return {"seen": 0}

    def poll(self, _context, handle):
        handle["seen"] += 1
        answer = self.polls.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cancel(self, _context, _handle):
        """Nothing to do."""


def test_an_operator_without_a_list_asks_one_after_the_other():
    task = context()
    operator = Counting(Pending("a"), BadRequest("wrong"), Done(1))
    asked = [Asked(task, {"seen": number}) for number in range(3)]
    pending, error, done = answers(operator, asked).values()
    assert (pending, done) == (Pending("a"), Done(1))
    assert isinstance(error, BadRequest)
    assert [one.handle["seen"] for one in asked] == [1, 2, 3]
    with time_limit.limited(0.0):
        assert answers(Counting(), asked) == {}


def test_waiting_goes_on_for_as_long_as_there_is_patience(monkeypatch):
    monkeypatch.setattr(
        "workers.contract.operator.time", SimpleNamespace(sleep=lambda _seconds: None)
    )
    log = Log()
    patient = iter([True, True, False])
    wait = Counting(Pending("a"), Pending("a")).start(context(log=log), lambda: next(patient))
    assert (wait.handle, wait.interval, wait.state) == ({"seen": 2}, 2.25, "a")
    assert log.lines == ["a"]
    assert Counting(Done(3)).start(context(), lambda: True) == Done(3)
    assert Counting().start(context(), lambda: False).interval == 1.0


def test_the_group_of_a_try_is_its_operator_and_connection():
    assert Counting().group(context(operator="acme.x"), {}) == "acme.x:GCP"
    assert Counting().group(context(operator="acme.x"), {"connection": "C"}) == "acme.x:C"
