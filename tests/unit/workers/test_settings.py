from __future__ import annotations

import json

import pytest

from pydag_dist.errors import InvalidSettings
from workers.settings import WorkerSettings

CONFIG = """
redis_url = "redis://other:6379/0"

[worker]
stores = ["gcs:project-pydag", "local:/srv/scripts"]
imports = ["etl"]

[worker.spark]
"spark.jars" = "gs://spark-lib/bigquery/spark-bigquery-latest_2.12.jar"
temporaryGcsBucket = "pydag-temporary-bucket"

[worker.connections.GCP]
project = "atomic-key-348214"
key_file = "KEY"
"""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)


def test_nothing_is_trusted_and_nothing_may_be_imported_unless_said():
    settings = WorkerSettings.load()
    assert settings.stores == ()
    assert settings.imports == ()
    assert settings.connections == {}


def test_the_table_worker_of_the_file(tmp_path, monkeypatch):
    key = tmp_path / "key.json"
    key.write_text("{}")
    config = tmp_path / "pydag.toml"
    config.write_text(CONFIG.replace("KEY", str(key)))
    monkeypatch.setenv("PYDAG_CONFIG", str(config))
    settings = WorkerSettings.load()
    assert settings.stores == ("gcs:project-pydag", "local:/srv/scripts")
    assert settings.spark["temporaryGcsBucket"] == "pydag-temporary-bucket"
    assert settings.connections["GCP"].key_file == key


def test_a_variable_beats_the_file(tmp_path, monkeypatch):
    config = tmp_path / "pydag.toml"
    config.write_text('[worker]\nimports = ["etl"]\n')
    monkeypatch.setenv("PYDAG_CONFIG", str(config))
    monkeypatch.setenv("PYDAG_WORKER_IMPORTS", "warehouse, billing.jobs")
    monkeypatch.setenv("PYDAG_WORKER_CONNECTIONS", '{"GCP": {"project": "p"}}')
    settings = WorkerSettings.load()
    assert settings.imports == ("warehouse", "billing.jobs")
    assert settings.connections["GCP"].project == "p"


@pytest.mark.parametrize(
    ("variable", "imports"), [(None, ("etl", "billing")), ("warehouse", ("warehouse", "billing"))]
)
def test_modules_of_the_command_line_are_added(tmp_path, monkeypatch, variable, imports):
    config = tmp_path / "pydag.toml"
    config.write_text('[worker]\nimports = ["etl"]\n')
    monkeypatch.setenv("PYDAG_CONFIG", str(config))
    monkeypatch.setenv("PYDAG_WORKER_FURTHER_IMPORTS", "billing")
    if variable:
        monkeypatch.setenv("PYDAG_WORKER_IMPORTS", variable)
    assert WorkerSettings.load().imports == imports


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("STORES", "ftp:bucket", "PYDAG_WORKER_STORES: .*'ftp:bucket' is none of gcs:BUCKET"),
        ("IMPORTS", "os; rm", "PYDAG_WORKER_IMPORTS: .*not a module's dotted name"),
        ("FURTHER_IMPORTS", "os; rm", "PYDAG_WORKER_IMPORTS: .*not a module's dotted name"),
        (
            "CONNECTIONS",
            '{"GCP": {"key": "x"}}',
            r"PYDAG_WORKER_CONNECTIONS\.GCP\.KEY: there is no such setting",
        ),
        (
            "CONNECTIONS",
            '{"GCP": {"key_file": "/nowhere/key.json"}}',
            "KEY_FILE: .*/nowhere/key.json is not a file",
        ),
        ("CONNECTIONS", "{oops", "PYDAG_WORKER_CONNECTIONS: .*Expecting property name"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, name, value, said):
    monkeypatch.setenv(f"PYDAG_WORKER_{name}", value)
    with pytest.raises(InvalidSettings, match=said):
        WorkerSettings.load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[worker]\nimport = ["etl"]\n',
            r"^\[worker\] import in .*pydag.toml: there is no such setting; imports is meant",
        ),
        ("worker = 3\n", r"\[worker\] in .* must be a table"),
        ("worker = \n", "isn't TOML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, monkeypatch, text, said):
    config = tmp_path / "pydag.toml"
    config.write_text(text)
    monkeypatch.setenv("PYDAG_CONFIG", str(config))
    with pytest.raises(InvalidSettings, match=said):
        WorkerSettings.load()


def test_a_missing_file_is_named(monkeypatch):
    monkeypatch.setenv("PYDAG_CONFIG", "/nowhere/pydag.toml")
    with pytest.raises(InvalidSettings, match=r"/nowhere/pydag\.toml"):
        WorkerSettings.load()


def test_a_connection_may_impersonate_by_way_of_others(monkeypatch):
    account = "loader@p.iam.gserviceaccount.com"
    connections = {"LOAD": {"impersonate": account, "delegates": ["between@p.example"]}}
    monkeypatch.setenv("PYDAG_WORKER_CONNECTIONS", json.dumps(connections))
    found = WorkerSettings.load().connections["LOAD"]
    assert (found.impersonate, found.delegates) == (account, ("between@p.example",))


@pytest.mark.parametrize(
    "store",
    [
        *("gcs:bucket", "gcs:bucket/folder", "gcs:bucket/folder/below/", "gcs:*", "s3:bucket/f"),
        *("database:scripts", "database:scripts/etl", "local:/srv/x"),
    ],
)
def test_stores_of_all_kinds_may_be_trusted(monkeypatch, store):
    monkeypatch.setenv("PYDAG_WORKER_STORES", store)
    assert WorkerSettings.load().stores == (store,)


@pytest.mark.parametrize(
    "store", ["gcs:b", "gcs:bucket//x", "gcs:bucket/../x", "s3:*", "database:"]
)
def test_stores_that_would_cover_nothing_are_refused(monkeypatch, store):
    monkeypatch.setenv("PYDAG_WORKER_STORES", store)
    with pytest.raises(InvalidSettings, match="is none of gcs:BUCKET"):
        WorkerSettings.load()


def test_the_url_of_a_database_shows_in_no_text(monkeypatch):
    monkeypatch.setenv("PYDAG_WORKER_DATABASES", '{"scripts": "postgresql://u:S3cr3t@h/d"}')
    settings = WorkerSettings.load()
    assert "S3cr3t" not in repr(settings)
    assert settings.databases["scripts"].get_secret_value().endswith("S3cr3t@h/d")
