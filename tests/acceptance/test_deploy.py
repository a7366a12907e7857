"""Compose, systemd's units and Kubernetes' manifests, by their very commands and variables.

They run from what the Dockerfile copies and installs; dependencies are those of this Python.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
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
from tests.support.postgres_server import PostgresServer
from tests.support.process import Process

DEPLOY = PROJECT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
SECRET = {
    "PYDAG_REDIS_PASSWORD": "s3cret",
    "PYDAG_POSTGRES_PASSWORD": "s3cret",
    "PYDAG_FLOWER_PASSWORD": "s3cret",
}
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = list(YAML(typ="safe").load_all(DEPLOY / "kubernetes" / "pydag.yaml"))
# What a container, or a unit, can't write to: not even root can.
READ_ONLY = "/proc/home"


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
    for line in re.findall(r"^COPY ([^-].*)$", DOCKERFILE, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            assert not any(PurePath(source).match(pattern) for pattern in ignored)
            if (PROJECT / source).is_dir():
                shutil.copytree(PROJECT / source, context / target)
            else:
                shutil.copy(PROJECT / source, context / target)
    [options] = re.findall(r"^RUN pip .* install (.*)$", DOCKERFILE, re.MULTILINE)
    pip = [sys.executable, "-m", "pip", "install", *shlex.split(options)]
    subprocess.run([*pip, "--quiet", "--no-deps", "--target", place], cwd=context, check=True)
    return place


@pytest.fixture
def postgres():
    with PostgresServer() as server:
        yield server


@pytest.fixture
def start(tmp_path, image, postgres):
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


def of_unit(unit):
    """The command of a unit, and the variables that it sets."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(unit)
    service = parser["Service"]
    assert service["EnvironmentFile"] == "/etc/pydag/environment"
    given = dict(pair.split("=", 1) for pair in shlex.split(service["Environment"]))
    return shlex.split(service["ExecStart"]), given


@pytest.mark.timeout(180)
def test_the_services_run_a_dag(services, image, start, tmp_path, postgres):
    ports = {name: str(free_port()) for name in ("5555", "8080", "6379", "unit")}
    places = {
        "@redis:6379": f"@127.0.0.1:{ports['6379']}",
        "postgresql://pydag:s3cret@postgres/pydag": postgres.new_database(),
        "/home/pydag/.pydag": str(tmp_path / "volume"),
    }

    def here(value):
        """Another host's name, a volume or a container's own port become this machine's."""
        for there, place in places.items():
            value = value.replace(there, place)
        return value

    # What the image has by itself: the port, and a volume for its working directory.
    server = services["redis"]
    *shell, script = server["command"]
    assert "s3cret" not in script
    assert server["volumes"] == ["redis:/data"]
    program = f"{valkey_binary()} - --port {ports['6379']} --dir {tmp_path}"
    start("redis", [*shell, script.replace("valkey-server -", program)], server["environment"])
    url = here(services["coordinator"]["environment"]["PYDAG_REDIS_URL"])
    with redis.Redis.from_url(url, decode_responses=True) as connection:
        wait_until(lambda: pings(connection), "Valkey answers to its password")
        assert connection.config_get("appendonly") == {"appendonly": "yes"}
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}

    given = {"worker": {"PYDAG_WORKER_IMPORTS": "statistics"}}  # of deploy/worker.env
    environments = {
        name: {key: here(each) for key, each in services[name]["environment"].items()}
        | {"PYDAG_HOME": READ_ONLY}
        | given.get(name, {})
        for name in ("coordinator", "worker", "web", "flower")
    }
    for name, environment in environments.items():
        program, *options = services[name]["command"]
        assert program == "pydag"
        options = [ports.get(option, option) for option in options]
        start(name, [image / "bin" / "pydag", *options], environment)
    for unit in UNITS:
        (program, *options), variables = of_unit(unit)
        assert program == "/opt/pydag/bin/pydag"
        options = [ports["unit"] if option == "8080" else option for option in options]
        environment = environments[unit.stem.removeprefix("pydag-")] | variables
        environment["PYDAG_HOME"] = str(tmp_path / unit.stem)
        start(unit.stem, [image / "bin" / "pydag", *options], environment)

    with Dag("means") as dag:
        params = {"callable": "statistics:mean", "args": [[1, 2, 6]]}
        first = dag.task("first", "python.call", params=params)
        first >> dag.task("second", "python.call", params=params)
    run = Client(url).submit(dag)
    assert run.wait(timeout=90) == "success"
    assert run.tasks["second"].result == 3

    def is_healthy(name):
        kind, *check = services[name]["healthcheck"]["test"]
        command = ["sh", "-c", check[0]] if kind == "CMD-SHELL" else check
        command = [
            re.sub(r"(127.0.0.1):(\d+)", lambda f: f"{f[1]}:{ports[f[2]]}", c) for c in command
        ]
        path = f"{image / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**PLAIN, "PYTHONPATH": str(image), "PATH": path, **environments[name]}
        return subprocess.run(command, env=env, check=False, capture_output=True).returncode == 0

    for name in environments:
        wait_until(lambda name=name: is_healthy(name), f"{name} is healthy", 60)
    client = Client(url)
    wait_until(lambda: len(client.coordinators()) == len(client.workers()) == 2, "the units' parts")
    wait_until(lambda: answers(f"http://127.0.0.1:{ports['unit']}/health"), "the unit's web part")
    assert not answers(f"http://127.0.0.1:{ports['5555']}/workers")  # without the password


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


def test_every_part_but_the_databases_is_one_image(services):
    images = {name: service["image"] for name, service in services.items()}
    assert images.pop("redis").startswith("valkey/valkey:")
    assert images.pop("postgres").startswith("postgres:")
    assert set(images.values()) == {"pydag-dist"}
    builds = [service["build"] for service in services.values() if "build" in service]
    assert builds == [{"context": ".", "dockerfile": "deploy/Dockerfile"}] * 4


def test_every_service_has_a_health_check_limits_and_no_rights(services):
    for name, service in services.items():
        assert {"healthcheck", "mem_limit"} <= set(service), name
        assert service["security_opt"] == ["no-new-privileges:true"]
        if service["image"] == "pydag-dist":
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001"]


def test_the_compose_file_is_as_its_schema_says():
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([sys.executable, *command, PROJECT / "docker-compose.yaml"], check=True)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")
def test_systemd_takes_the_units_and_finds_them_hardened(tmp_path):
    for unit in UNITS:
        text = unit.read_text().replace("/opt/pydag/bin/pydag", sys.executable)
        (tmp_path / unit.name).write_text(text)
    units = [tmp_path / unit.name for unit in UNITS]
    analyze = ["systemd-analyze", "--offline=yes", "--threshold=20", "security"]
    for command in (["systemd-analyze", "verify", "--man=no", *units], [*analyze, *units]):
        told = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (told.returncode, told.stderr) == (0, ""), told.stdout


def pods():
    """The containers of Kubernetes' manifests, by name, and the pods that they are in."""
    found = [each["spec"]["template"] for each in MANIFESTS if "template" in each.get("spec", {})]
    return {pod["spec"]["containers"][0]["name"]: pod for pod in found}


def test_kubernetes_runs_what_compose_does(services):
    names = {(each["kind"], each["metadata"]["name"]) for each in MANIFESTS}
    for name in ("coordinator", "worker", "web"):
        pod = pods()[name]["spec"]
        [container] = pod["containers"]
        assert container["args"] == services[name]["command"]
        told = {each["name"] for each in container["env"]}
        assert told <= set(services[name]["environment"])
        assert {
            ("ConfigMap", each["configMapRef"]["name"]) for each in container["envFrom"]
        } <= names
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert pod["securityContext"]["runAsUser"] == 10001
    assert pods()["valkey"]["spec"]["containers"][0]["command"][2].split() == (
        services["redis"]["command"][2].split()
    )


def test_what_kubernetes_selects_is_there():
    labels = [pod["metadata"]["labels"].items() for pod in pods().values()]
    texts = json.dumps(MANIFESTS)
    for selected in re.findall(r'"(?:matchLabels|selector)": (\{"[^{}]*\})', texts):
        assert any(json.loads(selected).items() <= each for each in labels), selected
    head = (DEPLOY / "kubernetes" / "pydag.yaml").read_text().partition("apiVersion")[0]
    keys = set(re.findall(r'"secretKeyRef": \{"name": "pydag", "key": "([\w-]+)"', texts))
    assert keys == set(re.findall(r"--from-literal=([\w-]+)=", head))


def test_workers_can_be_scaled(services):
    # A fixed name or a published port could exist once only.
    assert not {"container_name", "ports", "hostname"} & set(services["worker"])


def test_the_web_part_is_not_published_to_the_world_and_asks_for_tokens(services):
    assert services["web"]["ports"] == ["127.0.0.1:8080:8080"]
    assert services["web"]["environment"]["PYDAG_WEB_MODE"] == "tokens"


def test_flower_is_not_published_to_the_world_and_has_a_password(services):
    assert services["flower"]["ports"] == ["127.0.0.1:5555:5555"]
    assert services["flower"]["environment"]["FLOWER_BASIC_AUTH"] == "pydag:s3cret"
