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


def assert_stops(up, how):
    """Told to stop, it leaves no process and no state."""
    pids = up.processes()
    assert len(pids) > len(PARTS)
    assert up.stop(how) == 0
    assert not any(map(is_alive, pids))
    assert not (up.home / "up.json").exists()
    assert "Stopped." in up.output.read_text()


def test_stopping_leaves_nothing_behind_and_a_run_goes_on_after_the_next_start(tmp_path):
    home = tmp_path / "home"
    params = {"callable": "time:sleep", "args": [3]}
    with Dag("naps") as dag:
        first = dag.task("first", "python.call", params=params)
        first >> dag.task("second", "python.call", params=params)
    with running_up(home, PYDAG_WORKER_IMPORTS="time") as up:
        run = Client(up.exports()["PYDAG_REDIS_URL"]).submit(dag)
        wait_until(lambda: run.snapshot().counts.get("running"), "the first task runs")
        assert run.state == "running"
        assert_stops(up, signal.SIGINT)
    # As a home was before its Redis had a password.
    (home / "redis.conf").unlink()
    (home / "redis").chmod(0o755)
    with running_up(home, PYDAG_WORKER_IMPORTS="time") as up:
        assert Client(up.exports()["PYDAG_REDIS_URL"]).run(run.id).wait(timeout=120) == "success"
        assert_stops(up, signal.SIGTERM)


def test_stopping_while_it_starts_leaves_no_process(tmp_path):
    up = Up(tmp_path / "home")
    wait_until(lambda: len(up.processes()) > 3, "some parts have started")
    pids = up.processes()
    assert up.stop() == 0
    wait_until(lambda: not any(map(is_alive, pids)), f"all of {pids} are gone")


def test_killing_it_takes_every_part_along_and_is_noticed(tmp_path):
    with running_up(tmp_path / "home") as up:
        pids = up.processes()
        up.process.signal(signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, pids[1:])), f"all of {pids} are gone")
        result = up.run("env")
        assert result.returncode == 2
        assert "was killed: start it again" in result.stderr


def test_the_death_of_a_part_stops_all_and_is_told(tmp_path):
    with running_up(tmp_path / "home") as up:
        pids = up.processes()
        os.kill(up.state["processes"]["coordinator"], signal.SIGKILL)
        assert up.process.wait(120) == 2
        wait_until(lambda: not any(map(is_alive, pids)), f"all of {pids} are gone")
        output = up.output.read_text()
        assert "Error: coordinator was killed by signal 9" in output
        assert "coordinator.log" in output
        assert "Traceback" not in output
