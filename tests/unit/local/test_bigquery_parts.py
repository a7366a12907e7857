"""The local BigQuery's small parts: locks, journal, faults, gs:// URIs, JSON values, scripts."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.faults import Fault, fault_of, operation_of
from pydag_emulators.bigquery.files.gcs import files_of
from pydag_emulators.bigquery.files.json.values import BadValue, nothing, record
from pydag_emulators.bigquery.jobs.job import Control, Job, JobKey, Outcome
from pydag_emulators.bigquery.jobs.journal import Journal
from pydag_emulators.bigquery.jobs.locks import Locks, Taken
from pydag_emulators.bigquery.names import TableRef
from pydag_emulators.bigquery.rest.datasets import check_settings
from pydag_emulators.bigquery.schema import check_schema, duck_type, sql_type
from pydag_emulators.bigquery.sql.scripts.read import parse_steps
from pydag_emulators.bigquery.statements.target import target_of
from pydag_emulators.faults import Faults
from tests.support import wait_until


class Holder(threading.Thread):
    """Holds a lock in a thread of its own until told to let go."""

    def __init__(self, locks: Locks, key: str, *, exclusive: bool, check=None, owner=None) -> None:
        super().__init__()
        self._arguments = (locks, key, exclusive, check, owner)
        self.held, self.release = threading.Event(), threading.Event()
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        locks, key, exclusive, check, owner = self._arguments
        try:
            with locks.hold(key, exclusive=exclusive, check=check, owner=owner):
                self.held.set()
                self.release.wait(30)
        except ApiError as error:
            self.error = error

    def let_go(self) -> None:
        self.release.set()
        self.join()


def test_shared_locks_are_held_together_and_exclusive_ones_alone():
    locks = Locks()
    readers = [Holder(locks, "t", exclusive=False) for _ in range(2)]
    assert all(reader.held.wait(10) for reader in readers)
    writer = Holder(locks, "t", exclusive=True)
    other = Holder(locks, "u", exclusive=True)
    assert other.held.wait(10)
    wait_until(lambda: len(locks._tickets["t"]) == 3, "the writer waits")
    late = Holder(locks, "t", exclusive=False)  # behind the writer
    readers[0].let_go()
    assert not writer.held.is_set()
    readers[1].let_go()
    assert writer.held.wait(10)
    assert not late.held.is_set()
    writer.let_go()
    assert late.held.wait(10)
    late.let_go()
    other.let_go()
    assert not locks._tickets


def test_waiting_for_a_lock_can_be_given_up():
    locks = Locks()
    control = Control()
    first = Holder(locks, "t", exclusive=True)
    assert first.held.wait(10)
    second = Holder(locks, "t", exclusive=True, check=control.check)
    wait_until(lambda: len(locks._tickets["t"]) == 2, "the second waits")
    control.stop(ApiError("stopped", "enough"))
    locks.wake()
    second.join(10)
    assert str(second.error) == "enough"
    first.let_go()


def test_an_owner_may_hold_a_lock_twice_and_goes_before_those_that_wait():
    locks = Locks()
    one, other = object(), object()
    first = Holder(locks, "t", exclusive=False, owner=one)
    assert first.held.wait(10)
    plain = Holder(locks, "t", exclusive=False)
    assert plain.held.wait(10)
    late = Holder(locks, "t", exclusive=True)
    wait_until(lambda: len(locks._tickets["t"]) == 3, "the late one waits")
    again = Holder(locks, "t", exclusive=True, owner=one)
    wait_until(lambda: len(locks._tickets["t"]) == 4, "the owner waits for the plain one")
    with pytest.raises(Taken), locks.hold("t", exclusive=True, owner=other):
        pass
    plain.let_go()
    assert again.held.wait(10)
    assert not late.held.is_set()
    for holder in (again, first):
        holder.let_go()
    assert late.held.wait(10)
    late.let_go()
    assert not locks._tickets


def ended_job(name: str, error: dict | None = None) -> Job:
    configuration = {"jobType": "QUERY"}
    job = Job(JobKey("p", "US", name), configuration, created=1000, started=2000, ended=3500)
    job.error = error
    job.outcome = Outcome(statistics={"query": {"statementType": "SELECT"}}, rows=7)
    return job


def test_the_journal_has_every_job_once(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.write(ended_job("a"))
    journal.write(ended_job("a"))
    journal.write(ended_job("b", {"reason": "invalid", "message": "no"}))
    journal.close()
    with path.open("a") as file:
        file.write('{"id": "torn')  # the process was killed here
    journal = Journal(path)
    journal.write(ended_job("b"))
    journal.write(ended_job("c"))
    assert [(entry["id"], entry["state"]) for entry in journal.entries()] == [
        ("a", "done"), ("b", "failed"), ("c", "done")
    ]  # fmt: skip
    journal.close()
    assert json.loads(path.read_text().splitlines()[0]) == {
        "id": "a", "project": "p", "location": "US", "kind": "query", "statement_type": "SELECT",
        "parent": None, "started": 2.0, "ended": 3.5, "state": "done", "error": None, "rows": 7,
    }  # fmt: skip


def test_a_job_is_stopped_until_its_commit_begins():
    early, late = Control(), Control()
    early.stop(ApiError("stopped", "first"))
    early.stop(ApiError("stopped", "second"))
    with pytest.raises(ApiError, match="first"):
        early.enter_commit()
    late.enter_commit()
    late.stop(ApiError("stopped", "too late"))
    late.interrupt()  # meets no cursor


def test_waiting_for_a_stop():
    async def stopped_while_waiting() -> None:
        control = Control()
        asyncio.get_running_loop().call_soon(control.stop, ApiError("stopped", "x"))
        await control.wait_for_stop(60)
        await Control().wait_for_stop(0)

    asyncio.run(stopped_while_waiting())


def test_faults_meet_what_they_name_and_are_used_up():
    faults = Faults[Fault]()
    faults.add(fault_of({"method": "jobs.insert", "job_id": "^a", "status": 503, "count": 2}))
    faults.add(fault_of({"drop": "after"}))
    faults.add(fault_of({"method": "run", "delay": 1, "count": None}))
    assert faults.take("jobs.insert", "b").drop == "after"
    assert faults.take("jobs.get", "abc") is None
    assert faults.take("jobs.insert", "abc").error().status == 503
    assert faults.take("jobs.insert", "abc").error().reason == "backendError"
    assert faults.take("jobs.insert", "abc") is None
    assert [faults.take("run", "x").delay for _ in range(3)] == [1, 1, 1]
    faults.clear()
    assert faults.left() == []


@pytest.mark.parametrize(
    "body",
    [{"methd": "x"}, {"method": "jobs.destroy"}, {"drop": "x"}, {"method": "run", "drop": "after"}],
)
def test_wrong_faults_are_refused(body):
    with pytest.raises(ApiError):
        fault_of(body)


def test_operations_have_googles_names():
    base = "/bigquery/v2/projects/p"
    assert operation_of("POST", f"{base}/jobs") == ("jobs.insert", None)
    assert operation_of("POST", f"/upload{base}/jobs") == ("jobs.insert", None)
    assert operation_of("GET", f"{base}/queries/j1") == ("jobs.getQueryResults", "j1")
    assert operation_of("POST", f"{base}/jobs/j1/cancel") == ("jobs.cancel", "j1")
    assert operation_of("GET", "/-/health") == (None, None)


def test_uris_are_files_under_the_root(tmp_path: Path):
    for name in ("b/x/1.csv", "b/x/2.csv", "b/x/y/3.csv", "b/4.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def uris(*given: str) -> list[str]:
        return [uri for _, uri in files_of(tmp_path, list(given))]

    assert uris("gs://b/4.txt") == ["gs://b/4.txt"]
    assert uris("gs://b/x/*.csv") == ["gs://b/x/1.csv", "gs://b/x/2.csv", "gs://b/x/y/3.csv"]
    assert uris("gs://b/x/1*", "gs://b/4.txt") == ["gs://b/x/1.csv", "gs://b/4.txt"]
    for wrong in ("gs://b/none", "gs://b/*.none", "gs://none/*"):
        with pytest.raises(ApiError, match="Not found: URI"):
            uris(wrong)
    for wrong in (
        "b/4.txt",
        "gs://b",
        "gs://*/x",
        "gs://b/*/*",
        "gs://b/../b/4.txt",
        "gs://../*.txt",
    ):
        with pytest.raises(ApiError, match="Invalid source URI"):
            uris(wrong)
    with pytest.raises(ApiError, match="sourceUris"):
        uris()


VALUES = [
    ("INTEGER", 7, 7),
    ("INTEGER", "-7", -7),
    ("INTEGER", 2.0, 2),
    ("FLOAT", "1e3", 1000.0),
    ("BOOLEAN", "True", True),
    ("STRING", 5, "5"),
    ("STRING", True, "true"),
    ("NUMERIC", "1.0000000005", Decimal("1.000000001")),
    ("BYTES", "aGk=", b"hi"),
    ("DATE", "2024-2-3", date(2024, 2, 3)),
    ("TIME", "04:05:06.5", time(4, 5, 6, 500_000)),
    ("DATETIME", "2024-02-03T04:05:06", datetime(2024, 2, 3, 4, 5, 6)),  # noqa: DTZ001
    ("TIMESTAMP", "2024-02-03 04:05:06", datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)),
    ("TIMESTAMP", "2024-02-03T04:05:06+02:30", datetime(2024, 2, 3, 1, 35, 6, tzinfo=UTC)),
    ("TIMESTAMP", "2024-02-03 04:05:06-08", datetime(2024, 2, 3, 12, 5, 6, tzinfo=UTC)),
    ("TIMESTAMP", "2024-02-03 04:05:06 UTC", datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)),
    ("TIMESTAMP", "2024-02-03 04:05:06 Europe/Paris", datetime(2024, 2, 3, 3, 5, 6, tzinfo=UTC)),
    ("TIMESTAMP", 1_706_933_106, datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)),
    ("JSON", {"a": [1, "ä"]}, '{"a":[1,"ä"]}'),
]


@pytest.mark.parametrize(("type_", "given", "expected"), VALUES)
def test_json_values(type_, given, expected):
    fields = [{"name": "x", "type": type_, "mode": "NULLABLE"}]
    assert record({"X": given}, fields, ignored=nothing) == {"x": expected}
    assert record({"x": None}, fields, ignored=nothing) == {"x": None}


BAD_VALUES = [
    ("INTEGER", "x"), ("INTEGER", 1.5), ("INTEGER", True), ("INTEGER", 2**63), ("FLOAT", "x"),
    ("BOOLEAN", 1), ("STRING", {"a": 1}), ("NUMERIC", "1e30"), ("BYTES", "***"), ("DATE", "03.02."),
    ("DATE", 7), ("TIME", "25:00:00"), ("DATETIME", "2024-02-30 00:00:00"), ("TIMESTAMP", "now"),
    ("TIMESTAMP", "2024-02-03 04:05:06 Nowhere/There"),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "given"), BAD_VALUES)
def test_bad_json_values(type_, given):
    fields = [{"name": "x", "type": type_, "mode": "NULLABLE"}]
    with pytest.raises(BadValue, match="Field: x; Value: "):
        record({"x": given}, fields, ignored=nothing)


def test_schemas_are_checked_and_named():
    fields = check_schema(
        [
            {"name": "a", "type": "INT64", "mode": "REQUIRED"},
            {
                "name": "b",
                "type": "STRUCT",
                "mode": "REPEATED",
                "fields": [{"name": "c", "type": "BOOL"}],
            },
        ]
    )
    assert [field["type"] for field in fields] == ["INTEGER", "RECORD"]
    assert [sql_type(field) for field in fields] == ["INT64", "ARRAY<STRUCT<c BOOL>>"]
    assert duck_type(fields[1]) == 'STRUCT("c" BOOLEAN)[]'


def test_names_that_differ_in_case_are_other_tables():
    one, other = TableRef("p", "d", "T"), TableRef("p", "d", "t")
    assert one.sql.lower() != other.sql.lower()
    assert str(one) == "p:d.T"


def test_scripts_are_split_where_statements_end():
    script = "SELECT ';' AS a; -- ; no\nCREATE TABLE d.t AS SELECT 1 AS b;\n;DROP TABLE d.t"
    statements = parse_steps(script)
    assert [(s.kind, s.text) for s in statements] == [
        ("SELECT", "SELECT ';' AS a"),
        ("CREATE_TABLE_AS_SELECT", "CREATE TABLE d.t AS SELECT 1 AS b"),
        ("DROP_TABLE", "DROP TABLE d.t"),
    ]
    for sql, message in {
        "": "Unexpected end of statement",
        "SELECT 1;\n  SELECT FROM": r"at \[2:10\]",
        "SELECT 'x": "Syntax error",
        "FOO BAR": "Syntax error",
    }.items():
        with pytest.raises(ApiError, match=message) as raised:
            parse_steps(sql)
        assert raised.value.reason == "invalidQuery"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DELETE FROM ds.t WHERE TRUE", "Cannot set write disposition in jobs with DML"),
        ("CREATE TABLE ds.t AS SELECT 1 AS a", "Cannot set write disposition in jobs with DDL"),
    ],
)
def test_dispositions_are_of_a_select(sql, message):
    (statement,) = parse_steps(sql)
    with pytest.raises(ApiError, match=message):
        target_of(statement, JobKey("p", "US", "j"), {"writeDisposition": "WRITE_TRUNCATE"})


@pytest.mark.parametrize(
    "settings",
    [
        {"isCaseInsensitive": True},
        {"defaultCollation": "und:ci"},
        {"defaultRoundingMode": "ROUND_HALF_EVEN"},
    ],
)
def test_settings_that_change_answers_are_refused(settings):
    with pytest.raises(ApiError, match=next(iter(settings))):
        check_settings(settings)
