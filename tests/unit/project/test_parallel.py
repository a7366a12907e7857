"""Several processes that run the tests: none is lost, and what kills one of them is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """\
import os
import pytest
from tests.support.forking import Processes

def pytest_runtestloop(session):
    Processes(session, lambda nodeid: nodeid.partition("::")[0]).run(2)
    return True

@pytest.fixture(scope="session")
def shared():
    yield os.getpid()
    with open("ended", "a") as file:
        file.write(f"{os.getpid()}\\n")

@pytest.fixture(scope="module")
def of_file():
    yield
    with open("files", "a") as file:
        file.write("x")
"""
GOOD = """\
import os, pathlib, time

def test_together(shared, of_file):
    pathlib.Path(f"{__name__}-is-there").touch()
    while len(list(pathlib.Path().glob("*-is-there"))) < 2:
        time.sleep(0.001)
    assert shared == os.getpid()

def test_after(shared, tmp_path):
    assert tmp_path.parent.name.startswith("process-")
"""
FAILS = "def test_fails():\n    print('what it printed')\n    assert 1 == 2\n"
DIES = "import os\n\ndef test_dies():\n    os._exit(7)\n\ndef test_goes_on():\n    pass\n"
LEAVES = """\
import pytest

@pytest.fixture(scope="session")
def fails_at_the_end():
    yield
    raise ValueError("not undone")

def test_leaves(fails_at_the_end):
    pass
"""


@pytest.fixture
def run(tmp_path):
    """Run files of tests in two processes: what pytest said."""

    def run(files: dict[str, str], *options: str) -> str:
        for name, text in files.items():
            (tmp_path / f"test_{name}.py").write_text(text)
        (tmp_path / "conftest.py").write_text(CONFTEST)
        env = os.environ | {"PYTHONPATH": str(Path.cwd()), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider"]
        with (tmp_path / "said").open("w") as said:
            command += [f"--basetemp={tmp_path / 'temporary'}", *options]
            subprocess.run(command, check=False, cwd=tmp_path, env=env, stdout=said, stderr=said)
        return (tmp_path / "said").read_text()

    return run


def test_each_test_runs_once_and_what_kills_a_process_fails_its_test_only(run, tmp_path):
    said = run({"a": GOOD, "b": GOOD, "dies": DIES, "fails": FAILS, "leaves": LEAVES})
    assert "3 failed, 6 passed" in said
    assert "FAILED test_fails.py::test_fails - assert 1 == 2" in said
    assert "what it printed" in said
    assert "ended with 7 here" in said
    assert "ended with 1 here" in said
    assert "ValueError: not undone" in said
    ended = (tmp_path / "ended").read_text().split()
    assert len(set(ended)) == len(ended) > 0  # what a process shares is undone at its end
    assert (tmp_path / "files").read_text() == "xx"


def test_none_begins_after_as_many_failures_as_are_wanted(run):
    assert "1 failed in" in run({f"fails_{n}": FAILS for n in range(5)}, "-x")
