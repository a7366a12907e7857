"""The parts of the embedded stack as processes: they end with us, and their last words are told."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from pydag_dist.errors import LocalServiceError
from pydag_dist.local.home import Home
from pydag_dist.local.ports import Ports
from pydag_dist.local.process import Child
from tests.support import free_port, is_alive, wait_until

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"
# A program that ignores SIGTERM and has a child that does so, too.
STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); "
    "print(os.getpid(), flush=True); time.sleep(600)"
)


def nothing():
    pass


@pytest.fixture
def child(tmp_path):
    """Makes children that run some Python."""
    made = []

    def make(code, **options):
        log = tmp_path / f"{len(made)}.log"
        made.append(
            Child("the part", [sys.executable, "-c", code], log, dict(os.environ), **options)
        )
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_a_part_that_dies_is_told_with_its_last_log_lines(child):
    part = child("print('first'); raise SystemExit('no such table')")
    with pytest.raises(LocalServiceError, match="ended with exit code 1") as error:
        part.wait_until(lambda: False, 30, nothing)
    assert "no such table" in str(error.value)
    assert str(part.log) in str(error.value)


def test_a_part_that_was_killed_is_told(child):
    part = child(SLEEP)
    os.kill(part.pid, signal.SIGKILL)
    with pytest.raises(LocalServiceError, match="was killed by signal 9"):
        part.wait_until(lambda: False, 30, nothing)


def test_a_part_that_is_never_ready_is_told(child):
    with pytest.raises(LocalServiceError, match=r"was not ready after 0\.1 s"):
        child(SLEEP).wait_until(lambda: False, 0.1, nothing)


def test_a_stopped_part_leaves_nothing_of_its_group(child):
    part = child(STUBBORN, grace=0.2)
    part.wait_until(lambda: len(part.log.read_text().split()) == 2, 30, nothing)
    pids = [int(line) for line in part.log.read_text().split()]
    part.stop()
    wait_until(lambda: not any(map(is_alive, pids)), "both processes are gone")


def test_a_part_does_not_hear_ctrl_c_of_our_terminal(child):
    assert os.getpgid(child(SLEEP).pid) != os.getpgid(0)


def test_a_part_dies_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import os, sys, time; from pathlib import Path; "
        "from pydag_dist.local.process import Child; "
        f"part = Child('part', [sys.executable, '-c', {SLEEP!r}], Path({str(tmp_path / 'log')!r}), "
        "dict(os.environ)); part.start(); print(part.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    wait_until(lambda: not is_alive(pid), "the part is gone")


def test_a_home_belongs_to_one_process_at_a_time(tmp_path):
    home = Home(tmp_path)
    with home.locked():
        home.write_state({"pid": 4711})
        with (
            pytest.raises(LocalServiceError, match=r"process 4711.*PYDAG_HOME"),
            Home(tmp_path).locked(),
        ):
            pass
        assert home.read_state() == {"pid": 4711}
    with pytest.raises(LocalServiceError, match="Nothing runs with the home"):
        home.read_state()
    with Home(tmp_path).locked():
        pass


def test_what_a_killed_process_left_is_noticed_and_cleared(tmp_path):
    code = (
        "import os; from pathlib import Path; from pydag_dist.local.home import Home\n"
        f"home = Home(Path({str(tmp_path)!r}))\n"
        "with home.locked():\n"
        "    home.write_state({'pid': os.getpid()})\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    home = Home(tmp_path)
    with pytest.raises(LocalServiceError, match="was killed: start it again"):
        home.read_state()
    with home.locked(), pytest.raises(LocalServiceError, match="Nothing runs"):
        home.read_state()


def test_a_given_port_that_is_busy_is_refused_by_name():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(LocalServiceError, match=rf"port {port} \(--flower-port\) is busy"):
            Ports(flower=port).chosen()


def test_ports_that_were_not_given_are_all_different():
    given = free_port()
    ports = Ports(redis=given).chosen()
    chosen = [ports.redis, ports.gcs, ports.bigquery, ports.dataproc, ports.flower]
    assert ports.redis == given
    assert len({*chosen}) == 5
    assert all(chosen)


def test_a_home_that_cannot_be_one_is_told(tmp_path):
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(LocalServiceError, match=r"can't be written .*: set PYDAG_HOME"):
            Home(home).locked().__enter__()
        with pytest.raises(LocalServiceError, match="Nothing runs with the home"):
            Home(home).read_state()


def test_a_home_on_a_full_disk_is_told_before_anything_starts(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with pytest.raises(LocalServiceError, match=r"The disk of the home .* is full: make room"):
        Home(tmp_path).locked().__enter__()


def test_the_password_of_a_home_is_kept_and_made_anew_if_it_is_broken(tmp_path):
    home = Home(tmp_path)
    path, password = home.redis_config()
    path.chmod(0o644)
    assert home.redis_config() == (path, password)
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("requirepass \n")
    assert len(home.redis_config()[1]) == 64
    assert home.redis_config()[1] != password
    assert path.read_text() == f"requirepass {home.redis_config()[1]}\n"
