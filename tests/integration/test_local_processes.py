"""The parts of the embedded stack as processes: they end with us, and their last words are told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

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


def by_itself(tmp_path, script, **options):
    """A Python that starts parts by `part`, which are programs of their own or forks of it."""
    (tmp_path / "parts.py").write_text(PARTS)
    begin = (
        "import os, sys, time; from pathlib import Path\n"
        "from pydag_dist.local.forked import PythonPart\n"
        "from pydag_dist.local.process import Child\n"
        "def part(command, log='log', **env):\n"
        "    env |= {name: v for name, v in os.environ.items() if name != 'PARENTS'}\n"
        f"    child = Child('a part', command, Path({str(tmp_path)!r}) / log, env)\n"
        "    child.start()\n"
        "    return child\n"
    )
    command = [sys.executable, "-c", begin + script]
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, **options)


# What `PythonPart`s of these tests run.
PARTS = """
import atexit, json, os, random, signal, sys, threading, time

def main():
    match sys.argv[1:]:
        case ["sleep"]:
            time.sleep(600)
        case ["raise"]:
            raise LookupError("no such table")
        case ["exit", text]:
            sys.exit(int(text) if text.isdigit() else text)
        case ["last"]:
            atexit.register(print, "at exit")
            threading.Timer(0.1, print, ("of a thread",)).start()
        case ["look"]:
            numbers = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1
            print(json.dumps({
                "arguments": sys.argv,
                "files": [n for n in range(100) if os.path.exists(f"/proc/self/fd/{n}")],
                "handlers": [str(signal.getsignal(number)) for number in numbers],
                "blocked": [*map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))],
                "env": {n: v for n, v in os.environ.items() if n in ("MINE", "PARENTS")},
                "random": random.random(),
                "input": sys.stdin.read(),
                "leads": os.getpgid(0) == os.getpid(),
                "shown": open("/proc/self/cmdline").read().strip(chr(0)),
            }))
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-c", SLEEP],
        pytest.param("PythonPart('parts', ('sleep',))", marks=LINUX, id="forked"),
    ],
)
def test_a_part_dies_with_a_parent_that_is_killed(tmp_path, command):
    script = f"print(part({command}).pid, flush=True); time.sleep(600)"
    with by_itself(tmp_path, script) as parent:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    wait_until(lambda: not is_alive(pid), "the part is gone")


@LINUX
def test_a_forked_part_has_nothing_of_its_parent_but_memory(tmp_path):
    script = (
        "import random, signal, socket, threading; random.seed(1)\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):\n"
        "    signal.signal(number, lambda *_: None)\n"
        "file = open('/dev/zero'); os.set_inheritable(file.fileno(), True)\n"
        "link = socket.socket(); os.environ['PARENTS'] = 'x'\n"
        "part(PythonPart('parts', ('look',)), MINE='1').finish(lambda: None)\n"
        "print(random.random())\n"
    )
    parent = by_itself(tmp_path, script, stdin=subprocess.PIPE)
    said, _ = parent.communicate("for the parent only\n", timeout=60)
    found = json.loads((tmp_path / "log").read_text())
    assert found.pop("random") != float(said)
    assert found == {
        "arguments": [str(tmp_path / "parts.py"), "look"],
        "files": [0, 1, 2],
        "handlers": [str(signal.default_int_handler), "0", "0"],
        "blocked": [],
        "env": {"MINE": "1"},
        "input": "",
        "leads": True,
        "shown": "pydag up: a part",
    }


@LINUX
def test_a_forked_part_ends_as_a_program_does(tmp_path):
    script = (
        "from pydag_dist.errors import LocalServiceError\n"
        "parts = ('0', 'last'), ('1', 'raise'), ('2', 'exit', 'why'), ('3', 'exit', '3')\n"
        "for log, *words in parts:\n"
        "    try:\n"
        "        part(PythonPart('parts', tuple(words)), log).finish(lambda: None)\n"
        "        print('well')\n"
        "    except LocalServiceError as error:\n"
        "        print(str(error).splitlines()[0])\n"
    )
    said = by_itself(tmp_path, script).communicate(timeout=60)[0].splitlines()
    assert [line.partition(".")[0] for line in said] == [
        "well",
        "a part ended with exit code 1",
        "a part ended with exit code 1",
        "a part ended with exit code 3",
    ]
    logs = [(tmp_path / str(number)).read_text() for number in range(3)]
    assert logs[0].split("\n") == ["of a thread", "at exit", ""]
    assert logs[1].endswith("LookupError: no such table\n")
    assert logs[2] == "why\n"


@LINUX
def test_a_forked_part_hears_a_signal_however_early_it_comes(tmp_path):
    script = (
        "import signal; signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "for number in range(40):\n"
        "    one = part(PythonPart('parts', ('sleep',)))\n"
        "    time.sleep(number / 20_000); one.terminate(); print(one._process.wait(10))\n"
    )
    said = by_itself(tmp_path, script).communicate(timeout=60)[0].split()
    assert said == [str(-signal.SIGTERM)] * 40


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
