"""Modules that python.call may call: their files as they are now."""

from __future__ import annotations

import os
import sys

import pytest

from workers.errors import HostLacks
from workers.operators.python import modules as made
from workers.operators.python.modules import Modules


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(made, "LOOK_EVERY", -1)


def write(file, text):
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text)
    os.utime(file, ns=(before + 10_000_000_000,) * 2)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("package", [True, False])
def test_what_an_allowed_module_imports_beside_it_is_loaded_anew(folder, package):
    (folder / "pkg_a").mkdir()
    if package:
        write(folder / "pkg_a" / "__init__.py", "")
    write(folder / "beside_a.py", "VALUE = 1\n")
    write(folder / "pkg_a" / "jobs.py", "import beside_a\ndef f(): return beside_a.VALUE\n")
    found = Modules(["pkg_a.jobs"])
    assert found.load() == {}
    assert found.get("pkg_a.jobs").f() == 1
    write(folder / "beside_a.py", "VALUE = 2\n")
    found.refresh()
    assert found.get("pkg_a.jobs").f() == 2


@pytest.mark.usefixtures("at_once")
def test_a_broken_module_leaves_the_others_alone(folder):
    write(folder / "good_b.py", "STATE = []\n")
    write(folder / "bad_b.py", "def f(:\n")
    found = Modules(["good_b", "bad_b"])
    assert list(found.load()) == ["bad_b"]
    found.get("good_b").STATE.append(1)
    found.refresh()
    assert found.get("good_b").STATE == [1]
    with pytest.raises(HostLacks, match="bad_b can't be loaded on this worker: SyntaxError"):
        found.get("bad_b")
    write(folder / "bad_b.py", "def f(): return 3\n")
    found.refresh()
    assert found.get("bad_b").f() == 3


def test_files_are_looked_at_once_a_second_only(folder):
    write(folder / "mod_c.py", "VALUE = 1\n")
    found = Modules(["mod_c"])
    found.load()
    write(folder / "mod_c.py", "VALUE = 2\n")
    found.refresh()
    assert found.get("mod_c").VALUE == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the test's own threads
def test_a_module_that_ends_the_process_is_told(folder):
    write(folder / "exits_d.py", "import sys\nsys.exit(3)\n")
    assert made.problems(("exits_d", "no_such_d")) == (
        "module exits_d can't be imported: SystemExit: 3; "
        "module no_such_d can't be imported: ModuleNotFoundError: No module named 'no_such_d'"
    )
    assert made.problems(("json",)) == ""


@pytest.mark.usefixtures("at_once")
def test_a_file_that_changes_while_it_is_imported_is_loaded_anew(folder):
    file = folder / "while_c.py"
    text = "VALUE = 2\n"
    file.write_text(f"from pathlib import Path\nPath(__file__).write_text({text!r})\nVALUE = 1\n")
    found = Modules(["while_c"])
    assert found.load() == {}
    assert found.get("while_c").VALUE == 1
    found.refresh()
    assert found.get("while_c").VALUE == 2
