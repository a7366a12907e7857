from __future__ import annotations

import fakeredis
import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from pydag_dist.dag.script import ScriptPath
from tests.unit.workers.support import Log, context
from workers.errors import TaskFailed
from workers.operators.script.params import resolve
from workers.operators.script.stores import check_trusted, script_text
from workers.operators.script.text_cache import cached_text, key_of_text
from workers.settings import WorkerSettings

PATH = "local.bucket.folder.bq.create_table"


@pytest.fixture
def script(tmp_path):
    file = tmp_path / "store" / "bucket" / "folder" / "create_table.sql"
    file.parent.mkdir(parents=True)
    file.write_text("SELECT '{é}'", encoding="utf-8")
    return file


def read(root, path=PATH):
    task = context(settings={"stores": [f"local:{root}"]})
    return script_text(task, ScriptPath.parse(path), None)


@pytest.mark.usefixtures("script")
def test_a_local_store_is_a_directory_of_buckets(tmp_path):
    assert read(tmp_path / "store") == "SELECT '{é}'"


@pytest.mark.usefixtures("script")
def test_a_script_that_is_not_there_is_named_with_its_place(tmp_path):
    with pytest.raises(TaskFailed, match=r"does not exist: looked for .*folder/other\.sql"):
        read(tmp_path / "store", "local.bucket.folder.bq.other")


def test_a_link_does_not_lead_out_of_the_store(script, tmp_path):
    outside = tmp_path / "outside.sql"
    outside.write_text("SELECT 2")
    script.with_name("link.sql").symlink_to(outside)
    with pytest.raises(TaskFailed, match="does not exist"):
        read(tmp_path / "store", "local.bucket.folder.bq.link")


def test_a_script_must_be_text(script, tmp_path):
    script.write_bytes(b"\xff\xfe")
    with pytest.raises(TaskFailed, match="is not UTF-8 text"):
        read(tmp_path / "store")


@pytest.mark.parametrize(
    ("path", "stores", "trusted"),
    [
        ("gcs.mine.f.bq.s", ("gcs:mine",), True),
        ("gcs.mine.f.bq.s", ("gcs:*",), True),
        ("gcs.mine.f.bq.s", ("gcs:mine2", "local:/srv"), False),
        ("gcs.mine.f.bq.s", ("gcs:mine/f",), True),
        ("gcs.mine.f/g.bq.s", ("gcs:mine/f/",), True),
        ("gcs.mine.f2.bq.s", ("gcs:mine/f",), False),
        ("gcs.mine.g.bq.s", ("gcs:mine/f",), False),
        ("s3.mine.f.bq.s", ("s3:mine",), True),
        ("s3.mine.f.bq.s", ("gcs:mine", "gcs:*"), False),
        ("database.mine.f.bq.s", ("database:mine/f",), True),
        ("database.mine.f.bq.s", ("database:other",), False),
        ("gcs.mine.f.bq.s", (), False),
        ("local.mine.f.bq.s", ("local:/srv",), True),
        ("local.mine.f.bq.s", ("gcs:*", "gcs:mine"), False),
    ],
)
def test_only_stores_of_the_workers_settings_are_trusted(path, stores, trusted):
    if trusted:
        check_trusted(ScriptPath.parse(path), stores)
    else:
        with pytest.raises(TaskFailed, match="in a store that this worker does not trust"):
            check_trusted(ScriptPath.parse(path), stores)


class Reads:
    """A script store that counts; each text has a generation of its own."""

    def __init__(self):
        self.count = self.asked = 0
        self.changed = True

    def generation(self):
        self.asked += 1
        return f"g{self.count + self.changed}"

    def read(self):
        self.count += self.changed
        self.changed = False
        return f"text {self.count}", f"g{self.count}"

    def cached_text(self, task):
        return cached_text(task, PATH, self.generation, self.read)


def test_without_a_script_cache_every_try_reads():
    task, reads = context(script_cache=False), Reads()
    assert reads.cached_text(task) == "text 1"
    reads.changed = True
    assert reads.cached_text(task) == "text 2"
    assert reads.asked == 0
    assert task.redis.keys() == []


@pytest.mark.parametrize(("expire", "ttl"), [(7200, 7200), (0, -1)])
def test_the_cache_keeps_a_script_for_the_time_that_the_dag_says(expire, ttl):
    task, reads, log = context(script_cache=True, expire_cache=expire), Reads(), Log()
    assert reads.cached_text(task) == "text 1"
    assert key_of_text(task, PATH) == f"pydag:script:nightly/t/{PATH}"
    assert task.redis.ttl(key_of_text(task, PATH)) == ttl
    again = context(script_cache=True, log=log, redis=task.redis)
    assert reads.cached_text(again) == "text 1"
    assert log.lines == [f"script {PATH} from the cache"]
    assert (reads.count, reads.asked) == (1, 1)


def test_a_script_that_has_changed_is_read_again():
    task, reads, log = context(script_cache=True, expire_cache=60), Reads(), Log()
    reads.cached_text(task)
    reads.changed = True
    again = context(script_cache=True, expire_cache=60, log=log, redis=task.redis)
    assert reads.cached_text(again) == "text 2"
    assert log.lines == [f"script {PATH} has changed since it was cached"]
    assert reads.cached_text(task) == "text 2"


def test_the_cache_is_of_one_dag_and_task():
    task, reads = context(script_cache=True), Reads()
    reads.cached_text(task)
    reads.cached_text(context(script_cache=True, redis=task.redis, task_id="u"))
    reads.cached_text(context(script_cache=True, redis=task.redis, dag_id="other"))
    assert reads.asked == 0
    assert len(task.redis.keys()) == 3


@pytest.mark.parametrize("kept", ["SELECT 1", "1", "[]", '{"text": "SELECT 1"}'])
def test_what_is_no_copy_of_ours_is_not_used(kept):
    task = context(script_cache=True)
    task.redis.set(key_of_text(task, PATH), kept)
    assert Reads().cached_text(task) == "text 1"


def test_without_redis_the_script_is_read():
    server = fakeredis.FakeServer()
    server.connected = False
    log = Log()
    task = context(
        script_cache=True, redis=fakeredis.FakeRedis(server=server, decode_responses=True), log=log
    )
    assert Reads().cached_text(task) == "text 1"
    assert "the script cache can't be read" in log.lines[0]


def test_a_full_redis_fails_no_task(monkeypatch):
    def full(*_args, **_options):
        raise redis.OutOfMemoryError("OOM command not allowed")

    task, log = context(script_cache=True), Log()
    monkeypatch.setattr(task.redis, "set", full)
    assert Reads().cached_text(context(script_cache=True, redis=task.redis, log=log)) == "text 1"
    assert "the script cache can't be written" in log.lines[0]


class TestDatabase:
    @pytest.fixture
    def url(self, tmp_path):
        url = f"sqlite:///{tmp_path}/scripts.sqlite"
        self.execute(url, "CREATE TABLE pydag_scripts (path TEXT PRIMARY KEY, body TEXT NOT NULL)")
        self.execute(url, "INSERT INTO pydag_scripts VALUES ('etl/a.sql', 'SELECT é')")
        return url

    def execute(self, url, statement):
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(statement))

    def task(self, url, **fields):
        settings = {
            "databases": {"scripts": url},
            "stores": ["database:scripts/etl", "database:other"],
        }
        return context(settings=settings, **fields)

    def test_a_script_is_a_row(self, url):
        path = ScriptPath.parse("database.scripts.etl.bq.a")
        assert script_text(self.task(url), path, None) == "SELECT é"

    def test_a_changed_row_is_never_served_stale(self, url):
        path = ScriptPath.parse("database.scripts.etl.bq.a")
        task = self.task(url, script_cache=True)
        script_text(task, path, None)
        self.execute(url, "UPDATE pydag_scripts SET body = 'SELECT 2'")
        assert script_text(task, path, None) == "SELECT 2"

    def test_what_is_not_there_is_said(self, url):
        with pytest.raises(TaskFailed, match=r"no row etl/b\.sql in pydag_scripts of database"):
            script_text(self.task(url), ScriptPath.parse("database.scripts.etl.bq.b"), None)
        path = ScriptPath.parse("database.other.etl.bq.a")
        with pytest.raises(TaskFailed, match=r"other is not defined on this worker .* scripts\)"):
            script_text(self.task(url), path, None)

    def test_an_error_of_the_database_shows_no_password(self):
        url = "sqlite:////nowhere/secret.sqlite"
        path = ScriptPath.parse("database.scripts.etl.bq.a")
        with pytest.raises(TaskFailed) as failed:
            script_text(self.task(url), path, None)
        assert "unable to open database file" in str(failed.value)
        assert "secret" not in str(failed.value)


def settings(tmp_path):
    key = tmp_path / "key.json"
    key.write_text("{}")
    return WorkerSettings(connections={"GCP": {"key_file": key}, "AMBIENT": {"project": "p"}})


def test_params_are_parameters_variables_and_connections(tmp_path):
    given = {"table": "t", "*year": 2022, "**GCP_service-account": ""}
    params = resolve(given, settings(tmp_path))
    key = str(tmp_path / "key.json")
    assert params.values == {"table": "t", "*year": 2022, "GCP_service-account": key}
    assert params.connection == "GCP"


def test_a_connection_may_have_no_key_file(tmp_path):
    params = resolve({"**AMBIENT_service-account": ""}, settings(tmp_path))
    assert params.values == {"AMBIENT_service-account": ""}


def test_the_dag_cannot_say_what_a_connection_is(tmp_path):
    params = resolve({"**GCP_service-account": "/etc/shadow"}, settings(tmp_path))
    assert params.values == {"GCP_service-account": str(tmp_path / "key.json")}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("**AWS_service-account", r"connection AWS is not defined .*defined: AMBIENT, GCP"),
        ("**GCP_password", r"a connection has a service-account, so write \*\*GCP_service-account"),
        ("**GCP", "a connection has a service-account"),
    ],
)
def test_a_wrong_connection_is_explained(tmp_path, name, said):
    with pytest.raises(TaskFailed, match=said):
        resolve({name: ""}, settings(tmp_path))
