"""The compose file without Docker: each service's very command, with its very environment.

They run from what the Dockerfile copies and installs; dependencies are those of this Python.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path, PurePath

import pytest
import redis
from ruamel.yaml import YAML

from pydag_dist import Client, Dag
from pydag_dist.local.redis_server import valkey_binary
from tests.acceptance.conftest import PLAIN, PROJECT
from tests.support import free_port, wait_until
from tests.support.process import Process

DOCKERFILE = (PROJECT / "compose" / "Dockerfile").read_text()
SECRET = {"PYDAG_REDIS_PASSWORD": "s3cret"}


@pytest.fixture(scope="module")
def services():
    """The services as `docker compose config` would show them."""
    content = YAML(typ="safe").load(PROJECT / "docker-compose.yaml")
    return interpolated(content["services"])


def interpolated(value):
    if isinstance(value, dict):
        return {key: interpolated(each) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each) for each in value]
    if isinstance(value, str):
        value = re.sub(r"\$\{(\w+):\?[^}]+\}", lambda found: SECRET[found[1]], value)
        return value.replace("$$", "$")
    return value


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The directory of a package that was installed from nothing but what the Dockerfile copies."""
    context, place = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("image")
    ignored = (PROJECT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            assert not any(PurePath(source).match(pattern) for pattern in ignored)
            if (PROJECT / source).is_dir():
                shutil.copytree(PROJECT / source, context / target)
            else:
                shutil.copy(PROJECT / source, context / target)
    [options] = re.findall(r"^RUN pip install (.*)$", DOCKERFILE, re.MULTILINE)
    pip = [sys.executable, "-m", "pip", "install", *shlex.split(options)]
    subprocess.run([*pip, "--quiet", "--no-deps", "--target", place], cwd=context, check=True)
    return place


@pytest.fixture
def start(tmp_path, image):
    """Starts services as processes; ends them in the reverse order, as compose does."""
    with contextlib.ExitStack() as stack:

        def ended(process):
            assert process.end() == 0, process.text()

        def start(name, command, environment):
            env = {**PLAIN, "PYTHONPATH": str(image), **environment}
            process = Process(command, tmp_path / f"{name}.log", cwd=tmp_path, env=env)
            stack.callback(ended, process.start())

        yield start


def answers(url):
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status == 200
    return False


def pings(connection):
    with contextlib.suppress(redis.ConnectionError):
        return connection.ping()
    return False


@pytest.mark.timeout(180)
def test_the_services_run_a_dag(services, image, start, tmp_path):
    redis_port, flower_port, web_port = free_port(), free_port(), free_port()
    ports = {"5555": str(flower_port), "8080": str(web_port)}

    def here(value):
        """Another host's name or a container's own port become this machine's."""
        return value.replace("@redis:6379", f"@127.0.0.1:{redis_port}")

    # What the image has by itself: the port, and a volume for its working directory.
    server = services["redis"]
    *shell, script = server["command"]
    assert "s3cret" not in script
    assert server["volumes"] == ["redis:/data"]
    program = f"{valkey_binary()} - --port {redis_port} --dir {tmp_path}"
    start("redis", [*shell, script.replace("valkey-server -", program)], server["environment"])
    url = here(services["coordinator"]["environment"]["PYDAG_REDIS_URL"])
    with redis.Redis.from_url(url, decode_responses=True) as connection:
        wait_until(lambda: pings(connection), "Valkey answers to its password")
        assert connection.config_get("appendonly") == {"appendonly": "yes"}
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}

    given = {"worker": {"PYDAG_WORKER_IMPORTS": "statistics"}}  # of compose/worker.env
    for name in ("coordinator", "worker", "web", "flower"):
        program, *options = services[name]["command"]
        assert program == "pydag"
        options = [ports.get(option, option) for option in options]
        environment = {key: here(each) for key, each in services[name]["environment"].items()}
        environment["PYDAG_HOME"] = str(tmp_path / "home")  # the image has a home of its own
        start(name, [image / "bin" / "pydag", *options], environment | given.get(name, {}))

    with Dag("means") as dag:
        params = {"callable": "statistics:mean", "args": [[1, 2, 6]]}
        first = dag.task("first", "python.call", params=params)
        first >> dag.task("second", "python.call", params=params)
    run = Client(url).submit(dag)
    assert run.wait(timeout=90) == "success"
    assert run.tasks["second"].result == 3
    wait_until(lambda: answers(f"http://127.0.0.1:{flower_port}/healthcheck"), "Flower answers")
    *_, check = services["web"]["healthcheck"]["test"]
    check = check.replace("127.0.0.1:8080", f"127.0.0.1:{web_port}")
    wait_until(
        lambda: subprocess.run([sys.executable, "-c", check], check=False).returncode == 0,
        "the web part is healthy",
    )


def test_the_image_has_the_example_and_its_command(image):
    code = "from pydag_dist.local.seed import example_dir; print(example_dir())"
    environment = {**PLAIN, "PYTHONPATH": str(image)}
    example, told = (
        subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, check=True
        ).stdout
        for command in ([sys.executable, "-c", code], [image / "bin" / "pydag", "--help"])
    )
    assert Path(example.strip()) == image / "pydag_dist" / "local" / "example"
    assert (Path(example.strip()) / "pipeline.json").is_file()
    assert "pydag demo" in told


def test_every_part_but_valkey_is_one_image(services):
    images = {name: service["image"] for name, service in services.items()}
    assert images.pop("redis").startswith("valkey/valkey:")
    assert set(images.values()) == {"pydag-dist"}
    builds = [service["build"] for service in services.values() if "build" in service]
    assert builds == [{"context": ".", "dockerfile": "compose/Dockerfile"}] * 4


def test_workers_can_be_scaled(services):
    # A fixed name or a published port could exist once only.
    assert not {"container_name", "ports", "hostname"} & set(services["worker"])


def test_the_web_part_is_not_published_to_the_world_and_asks_for_tokens(services):
    assert services["web"]["ports"] == ["127.0.0.1:8080:8080"]
    assert services["web"]["environment"]["PYDAG_WEB_MODE"] == "tokens"


def test_flower_is_not_published_to_the_world(services):
    assert services["flower"]["ports"] == ["127.0.0.1:5555:5555"]
