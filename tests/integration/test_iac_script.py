"""iac scripts in their real process: what they see, what they leave, how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from pydag_dist import Fail, Skip
from tests.support import wait_until
from tests.unit.workers.support import Log, context
from workers.errors import TaskFailed
from workers.operators import find

SCRIPT = """
import json, os, subprocess, sys, time

class task:
    def __init__(self, logger):
        self.logger = logger

    def run_script(self):
BODY
"""
PATH = "local.bucket.iac_scripts.iac.task"


@pytest.fixture(autouse=True)
def _no_local_services(monkeypatch):
    for service in ("BIGQUERY", "STORAGE", "DATAPROC"):
        monkeypatch.delenv(f"{service}_EMULATOR_HOST", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


@pytest.fixture
def task(tmp_path):
    """Make the context of a task whose script has this body."""

    def make(body, params=None, log=None, **settings):
        folder = tmp_path / "bucket" / "iac_scripts"
        folder.mkdir(parents=True, exist_ok=True)
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        (folder / "task.iac").write_text(SCRIPT.replace("BODY", lines))
        return context(
            params,
            operator="script.iac",
            script=PATH,
            log=log,
            settings={"stores": [f"local:{tmp_path}"], **settings},
        )

    return make


def execute(task):
    return find("script.iac").execute(task)


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_its_output_is_the_tasks_log(task):
    log = Log()
    execute(
        task('self.logger.info(20, ["{name}"])\nprint("é", file=sys.stderr)', {"name": "c1"}, log)
    )
    assert log.lines == ["cluster c1 was created", "é"]


def test_a_failure_shows_the_line_and_the_exception(task):
    with pytest.raises(TaskFailed) as failed:
        execute(task('raise KeyError("mine")'))
    said = str(failed.value)
    assert said.startswith("iac script task failed with exit status 1:")
    assert 'File "task.iac", line 9, in run_script' in said
    assert 'raise KeyError("mine")' in said
    assert said.endswith("KeyError: 'mine'")


def test_it_can_skip_its_task_and_fail_it_for_good(task):
    with pytest.raises(Skip, match=r"^no files$"):
        execute(task('from pydag_dist import Skip\nraise Skip("no files")'))
    with pytest.raises(Fail, match=r"^unknown day$"):
        execute(task('from pydag_dist import Fail\nraise Fail("unknown day")'))
    with pytest.raises(TaskFailed, match="Skip: mine"):  # a class of its own of that name
        execute(task('class Skip(Exception): pass\nraise Skip("mine")'))


def test_it_sees_a_minimal_environment_and_its_connections_key(task, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_REDIS_URL", "redis://:secret@host")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    key = tmp_path / "key.json"
    key.write_text("{}")
    log = Log()
    execute(
        task(
            'print(json.dumps(dict(os.environ)))\nprint(r"{GCP_service-account}")',
            {"**GCP_service-account": ""},
            log,
            connections={"GCP": {"key_file": key}},
        )
    )
    environment = json.loads(log.lines[0])
    assert environment["GOOGLE_APPLICATION_CREDENTIALS"] == str(key) == log.lines[1]
    assert environment["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:1"
    assert set(environment) <= {
        "PATH",
        "HOME",
        "LANG",
        "LC_CTYPE",  # Python's own, in a C locale
        "STORAGE_EMULATOR_HOST",
        "GOOGLE_APPLICATION_CREDENTIALS",
    }


def test_what_it_leaves_running_is_killed(task):
    log = Log()
    execute(task('print(subprocess.Popen(["sleep", "600"]).pid)', log=log))
    wait_until(lambda: not alive(int(log.lines[0])), "the end of the script's own child")


def test_its_directory_is_removed(task):
    log = Log()
    execute(task('open("x", "w").close()\nprint(os.getcwd())', log=log))
    assert not Path(log.lines[0]).exists()


def test_a_script_killed_from_outside_fails_its_task(task):
    with pytest.raises(TaskFailed, match=f"failed with signal {signal.SIGKILL:d}"):
        execute(task("os.kill(os.getpid(), 9)"))


def test_it_ends_when_the_task_is_stopped(task):
    class Stopped(Exception):
        pass

    def stop(*_):
        raise Stopped

    log = Log()

    def stop_when_it_runs():
        wait_until(lambda: log.lines, "the script's pid")
        os.kill(os.getpid(), signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, stop)
    stopper = threading.Thread(target=stop_when_it_runs)
    stopper.start()
    try:
        with pytest.raises(Stopped):
            execute(task("print(os.getpid())\ntime.sleep(600)", log=log))
    finally:
        stopper.join()
        signal.signal(signal.SIGUSR1, previous)
    assert not alive(int(log.lines[0]))


WORKER = """
import sys, threading
from tests.unit.workers.support import Log, context
from workers.operators import find

class Loud(Log):
    def emit(self, record):
        print(record.getMessage(), flush=True)

find("script.iac").execute(context(
    operator="script.iac", script=sys.argv[1], log=Loud(), settings={"stores": [sys.argv[2]]}
))
"""


def test_it_dies_with_the_workers_process(task, tmp_path):
    task("print(os.getpid())\ntime.sleep(600)")
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, PATH, f"local:{tmp_path}"], stdout=subprocess.PIPE, text=True
    ) as worker:
        pid = int(worker.stdout.readline())
        assert alive(pid)
        worker.kill()
    wait_until(lambda: not alive(pid), "the end of the script's process")


def test_a_parameter_cannot_become_code(task):
    with pytest.raises(TaskFailed, match="parameters name would be filled into Python text"):
        execute(task('print("{name}")', {"name": '"); os.system("x"); ("'}))


def test_a_key_file_that_the_connection_lacks_is_explained(task):
    with pytest.raises(TaskFailed, match="wants the key file of connection GCP, which has none"):
        execute(
            task(
                'print(r"{GCP_service-account}")',
                {"**GCP_service-account": ""},
                connections={"GCP": {}},
            )
        )


def test_a_connection_that_impersonates_is_refused(task):
    account = "loader@p.iam.gserviceaccount.com"
    with pytest.raises(TaskFailed, match=f"impersonates {account}, which an iac script"):
        execute(task("pass", connections={"GCP": {"impersonate": account}}))


def test_a_parameter_outside_of_quotes_is_no_code(task):
    log = Log()
    execute(task("print({workers} + 1, '{workers}')", {"workers": "2"}, log))
    assert log.lines == ["3 2"]
    with pytest.raises(TaskFailed) as failed:
        execute(task("print({workers})", {"workers": "os.environ"}))
    assert "parameter workers is filled into code in line 9: outside of quotes" in str(failed.value)
    assert "Traceback" not in str(failed.value)
