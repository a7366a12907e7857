"""`pydag up` in one terminal, `pydag submit` in another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import psutil
import pytest
import redis
import requests

from pydag_dist import Client
from tests.acceptance.conftest import PARTS
from tests.support import is_alive, wait_until


def test_the_example_pipeline_succeeds_from_a_second_terminal(example_run):
    assert example_run["state"] == "success"
    assert {task["state"] for task in example_run["tasks"].values()} == {"success"}
    assert len(example_run["tasks"]) == 8


def test_its_tasks_are_spread_over_both_workers(example_run):
    workers = {task["worker"].partition("@")[0] for task in example_run["tasks"].values()}
    assert workers == {"worker-1", "worker-2"}


def test_its_tasks_were_released_by_chord_callbacks(example_run):
    # Four of the eight wait for nothing; Spark's ingestion, both extracts and their union do.
    assert example_run["enqueued"]["coordinator"] == 4
    assert example_run["enqueued"]["chord"] == 4


def test_its_logs_can_be_read_with_the_spark_drivers_output(up, terminal, example_run):
    result = up.run("logs", example_run["run_id"], "initial_ingestion_1", **terminal)
    assert result.returncode == 0, result.stderr
    assert "is in table_stg" in result.stdout


def test_googles_own_clients_find_the_services_by_the_exports(terminal, example_run):
    assert example_run["state"] == "success"
    code = (
        "from google.cloud import bigquery, storage\n"
        "(row,) = bigquery.Client().query_and_wait('SELECT COUNT(*) FROM datasettest.table_stg')\n"
        "print(row[0], *(bucket.name for bucket in storage.Client().list_buckets()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=dict(os.environ) | terminal,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout.split()[:1] == ["10000"], result.stderr
    assert "project-pydag" in result.stdout


def test_what_changes_in_its_folder_is_published_and_what_is_due_runs(up, terminal):
    folder = up.home.parent / "edited" / "dated"
    folder.mkdir()
    published = Client(terminal["PYDAG_REDIS_URL"]).published

    def write(name, **fields):
        task = {"task_id": "t", "operator": "python.call"}
        task["params"] = {"callable": "etl:report", "args": ["t"]}
        (folder / f"{name}.new").write_text(json.dumps({"dag_id": name, "tasks": [task], **fields}))
        (folder / f"{name}.new").rename(folder / f"{name}.json")

    def listed():
        told = json.loads(up.run("dags", "--json", **terminal).stdout)
        dags = {dag["dag_id"]: dag for dag in told["dags"] if dag["source"].startswith("dated/")}
        return dags, [file for file in told["problems"] if file.startswith("dated/")]

    write("often", schedule_interval=1, owner="ana")
    write("other")
    (folder / "half.json").write_text('{"dag_id": "half", "tasks": [')
    (folder.parent / "none.json").write_text('{"no": "DAG"}')  # else the folder looks as if away
    wait_until(lambda: len(listed()[0]) == 2, "two DAGs are published")
    wait_until(lambda: listed()[0]["often"]["last_state"] == "success", "the schedule's run ended")
    dags, problems = listed()
    assert (dags["often"]["owner"], dags["often"]["version"]) == ("ana", 1)
    assert dags["often"]["published_by"].startswith("folder@")
    assert problems == ["dated/half.json"]
    assert up.run("pause", "often", **terminal).stdout == "often: paused\n"
    write("other", tasks=[])
    write("often", schedule_interval=3600)
    wait_until(lambda: listed()[0]["often"]["version"] == 2, "what has changed is a new version")
    dags, problems = listed()
    assert sorted(problems) == ["dated/half.json", "dated/other.json"]
    assert (dags["other"]["version"], dags["often"]["paused_at"] is None) == (1, False)
    shutil.rmtree(folder)
    wait_until(lambda: listed() == ({}, []), "what is gone is unpublished")
    assert not published.kept_versions("often")


def test_what_runs_is_written_down(up):
    assert set(up.state["processes"]) == PARTS
    assert all(is_alive(pid) for pid in up.state["processes"].values())
    assert up.state["pid"] == up.process.pid


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere parts are no forks")
def test_its_parts_are_forks_of_it_that_say_what_they_are(up):
    shown = {name: psutil.Process(pid).cmdline()[0] for name, pid in up.state["processes"].items()}
    del shown["Redis"]  # a program of its own
    assert shown == {name: f"pydag up: {name}" for name in PARTS - {"Redis"}}


def test_the_password_of_its_redis_is_told_by_pydag_env_only(up, terminal, example_run):
    assert example_run["state"] == "success"
    password = redis.connection.parse_url(terminal["PYDAG_REDIS_URL"])["password"]
    assert len(password) == 64
    port = up.state["addresses"]["Redis"].rpartition(":")[2]
    with redis.Redis(port=int(port)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    told = {"the terminal": up.output.read_text()}
    told |= {str(path): path.read_text(errors="replace") for path in (up.home / "logs").iterdir()}
    told |= {str(pid): " ".join(psutil.Process(pid).cmdline()) for pid in up.processes()}
    flower = up.state["addresses"]["Flower"]
    for path in ("workers", "broker", "tasks", f"worker/{worker_name(example_run)}"):
        answer = requests.get(f"{flower}/{path}", timeout=30)
        assert answer.status_code == 200
        told[path] = answer.text
    assert [where for where, text in told.items() if password in text] == []
    assert "broker_url" in told[f"worker/{worker_name(example_run)}"]


def worker_name(run):
    return run["tasks"]["insert_to_fact"]["worker"]


def test_what_is_in_its_home_is_the_users_only(up, example_run):
    files = [path for path in up.home.iterdir() if path.is_file()]
    assert {"up.json", "redis.conf", "service-account.json", "history.sqlite"} <= {
        path.name for path in files
    }
    public = [path.name for path in up.home.iterdir() if path.stat().st_mode & 0o077]
    # Those say nothing.
    assert set(public) <= {"lock", "seeded", "pydag.toml"}


def test_without_its_exports_the_redis_is_refused_with_advice(up):
    port = up.state["addresses"]["Redis"].rpartition(":")[2]
    for url in (f"redis://127.0.0.1:{port}/0", f"redis://:wrong@127.0.0.1:{port}/0"):
        result = up.run("runs", PYDAG_REDIS_URL=url)
        assert result.returncode == 2
        assert 'eval "$(pydag env)"' in result.stderr
        assert "wrong" not in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_a_second_one_on_the_same_home_is_refused(up):
    second = up.run("up")
    assert second.returncode == 2
    assert f"process {up.process.pid}) runs with the home {up.home} already" in second.stderr
    assert up.process.poll() is None
