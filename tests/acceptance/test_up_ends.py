"""How `pydag up` ends: told to, killed, or by the end of a part; and the next one on its home."""

from __future__ import annotations

import os
import signal
import socket

from pydag_dist import Client, Dag
from tests.acceptance.conftest import PARTS, Up, running_up
from tests.support import is_alive, wait_until


def test_a_busy_port_that_was_asked_for_is_refused(tmp_path):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        up = Up(tmp_path / "home", "--flower-port", str(port))
        assert up.process.wait(120) == 2
    assert f"port {port} (--flower-port) is busy" in up.output.read_text()
    assert "Traceback" not in up.output.read_text()


def assert_ended(pids):
    wait_until(lambda: not any(map(is_alive, pids)), f"all of {pids} are gone")


def test_stopping_while_it_starts_leaves_no_process(tmp_path):
    up = Up(tmp_path / "home")
    wait_until(lambda: len(up.processes()) > 3, "some parts have started")
    pids = up.processes()
    assert up.process.end(signal.SIGINT) == 0
    assert_ended(pids)


def test_it_ends_with_all_its_parts_and_a_run_goes_on_after_the_next_start(tmp_path):
    """By Ctrl-C, by a kill, and by the death of a part."""
    home = tmp_path / "home"
    params = {"callable": "time:sleep", "args": [3]}
    with Dag("naps") as dag:
        first = dag.task("first", "python.call", params=params)
        first >> dag.task("second", "python.call", params=params)

    with running_up(home, PYDAG_WORKER_IMPORTS="time") as up:
        run = Client(up.exports()["PYDAG_REDIS_URL"]).submit(dag)
        wait_until(lambda: run.snapshot().counts.get("running"), "the first task runs")
        assert run.state == "running"
        pids = up.processes()
        assert len(pids) > len(PARTS)
        up.stop(signal.SIGINT)
        assert not any(map(is_alive, pids))
    # As a home was before its Redis had a password.
    (home / "redis.conf").unlink()
    (home / "redis").chmod(0o755)

    with running_up(home, PYDAG_WORKER_IMPORTS="time") as up:
        assert Client(up.exports()["PYDAG_REDIS_URL"]).run(run.id).wait(timeout=120) == "success"
        pids = up.processes()
        up.process.signal(signal.SIGKILL)
        assert_ended(pids[1:])
        result = up.run("env")
        assert result.returncode == 2
        assert "was killed: start it again" in result.stderr

    with running_up(home) as up:
        assert Client(up.exports()["PYDAG_REDIS_URL"]).run(run.id).state == "success"
        pids = up.processes()
        os.kill(up.state["processes"]["coordinator"], signal.SIGKILL)
        assert up.process.wait(120) == 2
        assert_ended(pids)
        output = up.output.read_text()
        assert "Error: coordinator was killed by signal 9" in output
        assert "coordinator.log" in output
        assert "Traceback" not in output
