"""Commands are imported when they are needed, and what is said of them meanwhile is true."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from pydag_dist.cli import pydag


@pytest.mark.parametrize("name", list(pydag.commands))
def test_the_list_says_of_a_command_what_its_own_help_begins_with(name):
    assert pydag.commands[name].name == name
    for limit in (20, 45, 200):
        assert pydag.commands.listed(name, limit) == pydag.commands[name].get_short_help_str(limit)


def test_names_of_commands_are_completed_with_what_they_do():
    found = ShellComplete(pydag, {}, "pydag", "_PYDAG_COMPLETE").get_completions([], "unp")
    assert [item.value for item in found] == ["unpause", "unpublish"]
    assert found[0].help == "Let the schedules of paused DAGs go on."


@pytest.mark.parametrize(
    ("arguments", "spared"),
    [
        (["--help"], ["redis", "rich", "pydantic", "pydag_dist.engine", "asyncio"]),
        (
            ["runs"],
            [
                *("redis.asyncio.client", "rich", "pydantic", "sqlalchemy", "celery", "zoneinfo"),
                *("opentelemetry.metrics", "email", "pydag_dist.why", "pydag_dist.client.run"),
                *("pydag_dist.client.backfills", "pydag_dist.engine.snapshot"),
                *("pydag_dist.engine.values", "pydag_dist.engine.roles.steering"),
            ],
        ),
    ],
)
def test_a_command_loads_nothing_that_it_does_not_use(tmp_path, monkeypatch, arguments, spared):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    monkeypatch.setenv("PYDAG_REDIS_URL", "redis://127.0.0.1:1")
    code = (
        f"import sys; sys.argv[1:] = {arguments!r}\n"
        "from pydag_dist.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {spared!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_half_of_redis_for_asyncio_is_there_for_whoever_asks():
    code = (
        "from pydag_dist.sparing import spare_unused; spare_unused()\n"
        "import redis, sys; assert 'redis.asyncio.client' not in sys.modules\n"
        "import redis.asyncio.lock\n"
        "from redis.asyncio import Redis; assert Redis is redis.asyncio.client.Redis"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_command_leaves_telemetry_and_metadata_of_packages_to_whoever_asks():
    code = (
        "import sys; from pydag_dist.sparing import spare_unused, without\n"
        "spare_unused()\nwith without('opentelemetry'): import redis\n"
        "assert 'redis' in sys.modules and 'opentelemetry' not in sys.modules\n"
        "import importlib.metadata; assert importlib.metadata.version('redis')\n"
        "from importlib.metadata import version; assert version('redis')\n"
        "import opentelemetry.metrics"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_collections_go_on_once_a_command_is_imported(tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    monkeypatch.setenv("PYDAG_REDIS_URL", "redis://127.0.0.1:1")
    code = (
        "import gc, sys; sys.argv[1:] = ['runs']\n"
        "from pydag_dist.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
