"""Scripts in Cloud Storage and S3, read by the official clients over the wire."""

from __future__ import annotations

import json
import urllib.request

import boto3
import pytest
from google.cloud.storage import Blob
from moto.server import ThreadedMotoServer

from pydag_dist.dag.script import ScriptPath
from tests.support.local_google import cloud_storage, storage_client
from tests.unit.workers.support import Log, context
from workers.errors import TaskFailed
from workers.operators.script import sources
from workers.operators.script.stores import script_text

NAME = "module/create.sql"


@pytest.fixture(scope="module")
def gcs_url(tmp_path_factory):
    with cloud_storage(tmp_path_factory.mktemp("gcs")) as url:
        storage_client(url).create_bucket("scripts")
        yield url


@pytest.fixture(scope="module")
def s3_url():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class TestGcs:
    PATH = ScriptPath.parse("gcs.scripts.module.bq.create")

    @pytest.fixture
    def blob(self, gcs_url, monkeypatch):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_url)
        blob = storage_client(gcs_url).bucket("scripts").blob(NAME)
        blob.upload_from_string("SELECT 1")
        return blob

    def task(self, **fields):
        return context(settings={"stores": ["gcs:scripts/module"]}, **fields)

    def test_a_changed_script_is_never_served_stale(self, blob, monkeypatch):
        reads = []
        download = Blob.download_as_bytes

        def counted(self, *args, **options):
            reads.append(self.name)
            return download(self, *args, **options)

        monkeypatch.setattr(Blob, "download_as_bytes", counted)
        task = self.task(script_cache=True, expire_cache=7200)
        for expected in ("SELECT 1", "SELECT 1", "SELECT 2", "SELECT 2"):
            if expected == "SELECT 2" and len(reads) == 1:
                blob.upload_from_string("SELECT 2")
            assert script_text(task, self.PATH, None) == expected
        assert len(reads) == 2

    def test_a_script_that_is_written_while_it_is_read_is_whole(self, blob, monkeypatch):
        download = Blob.download_as_bytes
        written = []

        def late(self, *args, **options):
            if not written:
                written.append(1)
                blob.upload_from_string("SELECT 3")
            return download(self, *args, **options)

        monkeypatch.setattr(Blob, "download_as_bytes", late)
        script = sources.GcsSource(self.task(), self.PATH, None).read()
        blob.reload()
        assert script == (b"SELECT 3", str(blob.generation))

    @pytest.mark.usefixtures("blob")
    def test_an_error_that_passes_costs_nothing(self, gcs_url):
        fault = json.dumps({"status": 503, "path": "create.sql", "count": 2}).encode()
        request = urllib.request.Request(f"{gcs_url}/-/faults", fault)
        urllib.request.urlopen(request, timeout=30).close()
        log = Log()
        assert script_text(self.task(log=log), self.PATH, None) == "SELECT 1"
        assert sum("trying again" in line for line in log.lines) == 2

    @pytest.mark.usefixtures("blob")
    def test_one_that_is_not_there_is_named(self):
        path = ScriptPath.parse("gcs.scripts.module.bq.none")
        with pytest.raises(TaskFailed, match=r"gs://scripts/module/none\.sql\) does not exist"):
            script_text(self.task(), path, None)


class TestS3:
    PATH = ScriptPath.parse("s3.scripts.module.bq.create")

    @pytest.fixture
    def s3(self, s3_url, monkeypatch):
        for name, value in {
            "AWS_ENDPOINT_URL_S3": s3_url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        sources._s3.cache_clear()
        client = boto3.client("s3")
        client.create_bucket(Bucket="scripts")
        client.put_object(Bucket="scripts", Key=NAME, Body="SELECT 'é'".encode())
        yield client
        client.close()
        sources._s3()[0].close()
        sources._s3.cache_clear()

    def task(self, **fields):
        return context(settings={"stores": ["s3:scripts"]}, **fields)

    def test_a_changed_script_is_never_served_stale(self, s3):
        log = Log()
        task = self.task(script_cache=True, log=log)
        assert script_text(task, self.PATH, None) == "SELECT 'é'"
        assert script_text(task, self.PATH, None) == "SELECT 'é'"
        assert log.lines == [f"script {self.PATH} from the cache"]
        s3.put_object(Bucket="scripts", Key=NAME, Body=b"SELECT 2")
        assert script_text(task, self.PATH, None) == "SELECT 2"

    @pytest.mark.usefixtures("s3")
    def test_what_is_not_there_is_named(self):
        path = ScriptPath.parse("s3.scripts.module.bq.none")
        with pytest.raises(TaskFailed, match=r"s3://scripts/module/none\.sql\): .*NoSuchKey"):
            script_text(self.task(), path, None)
