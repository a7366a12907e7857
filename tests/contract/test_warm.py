"""What tests fork is as Python would have started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import is_alive, wait_until, warm

MAX_SCANNED = """
import json, os, signal, sys, threading
print(json.dumps({
    "name": [__name__, __spec__.name, sys.modules["__main__"].__spec__.name],
    "arguments": sys.argv,
    "path": sys.path,
    "directory": os.getcwd(),
    "environment": {name: os.environ.get(name) for name in ("PYTHONPATH", "GIVEN", "HOME")},
    "files": [os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)],
    "others": sorted(set(os.listdir("/proc/self/fd")) - {"0", "1", "2", "3"}),
    "signals": [str(signal.getsignal(s)) for s in (1, 2, 10, 13, 15, 17)],
    "mask": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "threads": len(os.listdir("/proc/self/task")),
    "log level": __import__("logging").getLogger().level,
}))
sys.exit(3)
"""
END = """
import atexit, os, sys, threading, time
atexit.register(print, "last of all")
threading.Thread(target=lambda: (time.sleep(0.1), print("of a thread"))).start()
sys.stdout.write("of itself ")
sys.exit(eval(os.environ["GIVEN"]))
"""
WAIT = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    for name, text in (("look", MAX_SCANNED), ("end", END), ("wait", WAIT)):
        (tmp_path / f"{name}_{os.getpid()}.py").write_text(text)
    return {**os.environ, "PYTHONPATH": str(tmp_path), "GIVEN": "1"}


def command(name: str, *flags: str) -> list[str]:
    return [sys.executable, *flags, "-m", f"{name}_{os.getpid()}", "one", "--two"]


@pytest.mark.parametrize("flags", [(), ("-P",)])
def test_a_module_sees_and_answers_the_same(
    tmp_path: Path, env: dict[str, str], flags: tuple[str, ...]
) -> None:
    log, look = tmp_path / "log", command("look", *flags)
    assert warm.can_fork(look, env)
    with log.open("ab") as out:
        forked = warm.start(look, env, out.fileno(), cwd=tmp_path)
    assert os.getpgid(forked.pid) == forked.pid
    assert forked.wait(60) == forked.poll() == 3
    seen = json.loads(log.read_text())
    assert cold(look, env, log) == 3
    assert seen == json.loads(log.read_text())


def cold(command: list[str], env: dict[str, str], log: Path) -> int:
    """How Python itself ends by it."""
    with log.open("w") as out:
        return subprocess.run(
            command,
            env=env,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=False,
        ).returncode


@pytest.mark.parametrize(("given", "status"), [("None", 0), ("5", 5), ("'a text'", 1)])
def test_it_ends_as_python_does(
    tmp_path: Path, env: dict[str, str], given: str, status: int
) -> None:
    log = tmp_path / "log"
    env["GIVEN"] = given
    with log.open("ab") as out:
        forked = warm.start(command("end"), env, out.fileno(), cwd=tmp_path)
    assert forked.wait(60) == status
    said = log.read_text()
    assert "last of all" in said
    assert cold(command("end"), env, log) == status
    assert said == log.read_text()


def test_its_end_is_told_by_signals_and_time(tmp_path: Path, env: dict[str, str]) -> None:
    log = tmp_path / "log"
    with log.open("ab") as out:
        forked = warm.start(command("wait"), env, out.fileno())
    wait_until(lambda: log.read_text() == "begun\n", "it runs")
    assert forked.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(0.01)
    forked.terminate()
    assert forked.wait(60) == -signal.SIGTERM
    forked.kill()  # nobody is there any more


def test_what_python_reads_at_its_start_is_started_by_itself(env: dict[str, str]) -> None:
    for name, value in (("PYTHONHASHSEED", "0"), ("LD_PRELOAD", ""), ("PYDAG_TEST_COLD", "1")):
        assert not warm.can_fork(command("look"), env | {name: value})
    assert not warm.can_fork([sys.executable, "-c", "pass"], env)
    assert not warm.can_fork(["/bin/true", "-m", "look"], env)


def test_what_somebody_started_who_has_gone_is_killed_and_what_others_started_goes_on(
    tmp_path: Path, env: dict[str, str]
) -> None:
    log, nursery = tmp_path / "log", warm.Nursery(f"{warm.place()}/{warm.PRODUCT}")
    with log.open("ab") as out:
        mine = warm.start(command("wait"), env, out.fileno())
        other = nursery.start(command("wait")[1:], env, out.fileno(), tmp_path)
    nursery.close()
    wait_until(lambda: not is_alive(other.pid), "the other's process is gone")
    assert mine.poll() is None
    mine.kill()
    assert mine.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize(
    "words", ["--version", "validate /dev/stdin", "status", "no-such-command", "runs"]
)
def test_the_program_says_what_the_command_does(env: dict[str, str], words: str) -> None:
    env["PYDAG_REDIS_URL"] = "redis://127.0.0.1:1/0"

    def ended(program: str) -> tuple[int, str, str]:
        result = subprocess.run(
            [program, *words.split()],
            env=env,
            input='{"dag_id": "é"}',
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout, result.stderr

    assert ended(warm.program()) == ended(str(Path(sys.executable).with_name("pydag")))
