from __future__ import annotations

import sys

import pytest

from tests.unit.workers.support import context
from workers.errors import TaskFailed
from workers.operators import find

MODULE = """
from os import system
from pathlib import Path
print("imported")

def add(a, b=1):
    return a + b

def talk():
    print("one")
    print("two", end="")

def fail():
    raise KeyError("mine")

def program(code):
    raise SystemExit(code)

async def late_program(code):
    raise SystemExit(code)

NUMBER = 3
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path, monkeypatch):
    (tmp_path / "etl_of_test").mkdir()
    (tmp_path / "etl_of_test" / "__init__.py").write_text("")
    (tmp_path / "etl_of_test" / "jobs.py").write_text(MODULE)
    (tmp_path / "etl_of_test2.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.startswith("etl_of_test")]:
        del sys.modules[name]


def call(name, *args, imports=("etl_of_test",), log=None, **kwargs):
    task = context(
        {"callable": name, "args": list(args), "kwargs": kwargs},
        settings={"imports": imports},
        log=log,
    )
    return find("python.call").execute(task)


def test_a_function_of_an_allowed_module_or_below_it():
    assert call("etl_of_test.jobs:add", 1, b=2) == 3
    assert call("etl_of_test2:add", 1, imports=("etl_of_test2",)) == 2


@pytest.mark.parametrize("name", ["program", "late_program"])
def test_a_program_that_ends_well_has_succeeded(name):
    assert call(f"etl_of_test.jobs:{name}", 0) is None
    assert call(f"etl_of_test.jobs:{name}", None) is None
    for code in (3, "no such table"):
        with pytest.raises(SystemExit, match=str(code)):
            call(f"etl_of_test.jobs:{name}", code)


def test_what_the_function_raises_goes_through():
    with pytest.raises(KeyError, match="mine"):
        call("etl_of_test.jobs:fail")


@pytest.mark.parametrize("name", ["etl_of_test2:add", "os:system", "etl_of:add", "builtins:exec"])
def test_another_module_is_refused_before_it_is_imported(name):
    with pytest.raises(TaskFailed, match=r"may not call .allowed: etl_of_test.*--import"):
        call(name)
    assert "etl_of_test2" not in sys.modules


def test_without_imports_nothing_is_called():
    with pytest.raises(TaskFailed, match=r"allowed: none"):
        call("etl_of_test.jobs:add", 1, imports=())


@pytest.mark.parametrize("name", ["etl_of_test.jobs:system", "etl_of_test.jobs:Path"])
def test_what_an_allowed_module_imported_is_refused(name):
    with pytest.raises(TaskFailed, match="which this worker may not call"):
        call(name, "true")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("etl_of_test.jobs", "params of python.call: callable: must be .module:function"),
        ("etl_of_test.jobs:add.__globals__", "params of python.call: callable: must be"),
        ("etl_of_test.jobs:missing", "has no function missing"),
        ("etl_of_test.jobs:NUMBER", "has no function NUMBER"),
        ("etl_of_test.missing:f", "No module named 'etl_of_test.missing'"),
    ],
)
def test_a_name_that_is_no_function_is_explained(name, said):
    with pytest.raises(TaskFailed, match=said):
        call(name)
