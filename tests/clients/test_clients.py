"""dbt, pandas, gcsfs, Google's own clients and Airflow's operators, against the local services."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.support.local_bigquery import LocalBigQuery
from tests.support.local_google import LocalDataproc, cloud_storage, storage_client

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "dbt"
ENVIRONMENTS = Path(os.environ.get("CLIENTS", "."))  # where .venv-clients and .venv-airflow are

pytestmark = pytest.mark.timeout(900)  # dbt and Airflow take half a minute to begin

# Asked of Google whatever is set: four by another way to log in, two by the Storage API.
NOT_LOCAL = {
    "BigQueryCheckOperator", "BigQueryColumnCheckOperator", "BigQueryGetDatasetTablesOperator",
    "BigQueryTableCheckOperator", "BigQueryUpsertTableOperator", "BigQueryValueCheckOperator",
}  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def services(directory):
    """The variables by which clients find a local Cloud Storage and BigQuery."""
    with cloud_storage(directory) as url, LocalBigQuery(directory) as service:
        variables = {"STORAGE_EMULATOR_HOST": url, "BIGQUERY_EMULATOR_HOST": service.url}
        storage_client(url).create_bucket("files")
        yield {**os.environ, **variables, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}


@pytest.fixture(scope="module")
def dataproc(directory, services):
    service = LocalDataproc(
        directory,
        services["STORAGE_EMULATOR_HOST"],
        bigquery_url=services["BIGQUERY_EMULATOR_HOST"],
    ).start()
    yield service.address
    service.close()


def python(environment, script, *words, **variables):
    """What a script prints, run by an environment's Python."""
    program = ENVIRONMENTS / environment / "bin" / "python"
    command = [program, Path(__file__).with_name(script), *words]
    done = subprocess.run(command, text=True, capture_output=True, check=False, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("what", ["files", "folders", "buckets", "frames", "tables"])
def test_files_buckets_and_tables(services, what):
    python(".venv-clients", "clients_of_files.py", what, env=services)


class TestDbt:
    """The example's project, by the example's function."""

    def run(self, services, *words, **options):
        program = ENVIRONMENTS / ".venv-clients" / "bin" / "dbt"
        call = f"import run_dbt, json; print(json.dumps(run_dbt.run(*{words}, **{options})))"
        environment = services | {"DBT": str(program), "PYTHONPATH": f"{EXAMPLE}:{ROOT}"}
        command = [sys.executable, "-c", call]
        done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def test_a_project_is_seeded_built_merged_snapshotted_and_tested(self, services):
        assert self.run(services, "seed") == {"success": 2}
        assert self.run(services, "run") == {"success": 3}
        assert self.run(services, "snapshot") == {"success": 1}
        again = {"variables": {"day": "2026-01-31"}, "select": "sales countries"}
        assert self.run(services, "run", **again) == {"success": 2}  # by MERGE
        assert self.run(services, "build") == {"success": 6, "pass": 5}

    def test_what_fails_is_named(self, services):
        client = bigquery.Client(
            project="local-project",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": services["BIGQUERY_EMULATOR_HOST"]},
        )
        client.query_and_wait("INSERT INTO shop.orders VALUES (4, 1, '2026-01-31', 1)")
        failed = r"dbt test: failed: test\.shop\.no_order_is_lost, test\.shop\.unique_priced"
        with pytest.raises(AssertionError, match=f"RuntimeError: {failed}"):
            self.run(services, "test")
        with pytest.raises(AssertionError, match="'clean' is none of build, run"):
            self.run(services, "clean")

    def test_each_strategy_and_the_catalogue(self, services, directory):
        project, target = Path(__file__).with_name("strategies"), directory / "target"
        program = ENVIRONMENTS / ".venv-clients" / "bin" / "dbt"
        days = ["--event-time-start=2026-01-01", "--event-time-end=2026-01-05"]
        for words in (
            ["build", *days], ["build", *days], ["source", "freshness"], ["docs", "generate"],
        ):  # fmt: skip
            command = [program, "--warn-error-options={}", *words, f"--project-dir={project}"]
            command += [f"--profiles-dir={project}", f"--target-path={target}"]
            command += [f"--log-path={target}"]
            done = subprocess.run(
                command, env=services, text=True, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
        catalogue = json.loads((target / "catalog.json").read_text())["nodes"]
        days = catalogue["model.strategies.days"]
        assert days["metadata"]["comment"] == 'The "days", of all users'
        assert days["columns"]["day"]["comment"] == "the day"
        assert days["stats"]["num_rows"]["value"] == 4
        boxed = catalogue["model.strategies.agreed"]["columns"]
        assert {name: column["type"] for name, column in boxed.items()} == {
            "id": "INT64", "box": "STRUCT<a INT64>", "box.a": "INT64",
        }  # fmt: skip


@pytest.mark.usefixtures("dataproc")
def test_airflows_operators(services, dataproc, directory):
    storage = storage_client(services["STORAGE_EMULATOR_HOST"])
    storage.create_bucket("airflow-copies")
    storage.create_bucket("airflow").blob("hello.py").upload_from_string("print('hello')")
    environment = services | {"DATAPROC_EMULATOR_HOST": dataproc, "AIRFLOW_HOME": str(directory)}
    told = json.loads(
        python(".venv-airflow", "clients_of_airflow.py", env=environment).splitlines()[-1]
    )
    wrong = {name: why for name, why in told.items() if why}
    assert set(wrong) == NOT_LOCAL, wrong
    page = (ROOT / "docs" / "local-google.md").read_text(encoding="utf-8")
    pass_, ask_google = page.partition("These ask Google")[::2]
    assert set(re.findall(r"`(\w+(?:Operator|Sensor))`", pass_)) == set(told) - NOT_LOCAL
    assert set(re.findall(r"`(\w+Operator)`", ask_google)) == NOT_LOCAL
