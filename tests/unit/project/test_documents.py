"""What README, docs and examples say: every block is of a known kind, every command is one."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import tomllib
from types import SimpleNamespace
from typing import get_args

import pytest
from ruamel.yaml import YAML

from pydag_dist.coordinator.alerts.messages import message_of
from pydag_dist.dag import Dag
from pydag_dist.receivers import Format
from pydag_dist.settings import SETTINGS, WEB_SETTINGS, WORKER_SETTINGS, load_settings
from pydag_dist.web.settings import WebSettings
from tests.acceptance.chaos import faults
from tests.support import documents
from tests.support.documents import HELP, KINDS, PAGES, ROOT, all_blocks
from workers.settings import WorkerSettings

SOURCES = [
    *(path for package in ("pydag_dist", "workers") for path in (ROOT / package).rglob("*.py")),
    *(ROOT / "pydag_dist").rglob("*.lua"),
]
COMPOSE = YAML(typ="safe").load(ROOT / "docker-compose.yaml")
PIPELINE = Dag.load(ROOT / "examples" / "pipeline" / "pipeline.json")
TASK = {"operator": "python.call", "params": {"callable": "m:f"}}
# What `pydag worker` tells the Celery app.
INTERNAL = {"PYDAG_WORKER_QUEUES", "PYDAG_WORKER_FURTHER_IMPORTS"}
ELSEWHERE = {"PYDAG_CONFIG", "PYDAG_TEST_EXAMPLES"}
ELSEWHERE |= {f"PYDAG_{name}_PASSWORD" for name in ("REDIS", "POSTGRES", "FLOWER")}
ELSEWHERE |= {"PYDAG_SECRET_SHOP_TOKEN"}  # an example


def of_kind(*kinds):
    """A test for each block of these kinds."""
    found = [block for block in all_blocks() if block.kind in kinds]
    return pytest.mark.parametrize("block", found, ids=lambda block: block.where)


def names(text):
    return set(re.findall(r"\bPYDAG_[A-Z_]+[A-Z]\b", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_of_a_known_kind(page):
    strange = [f"{b.where}: ```{b.info}" for b in documents.blocks(page) if b.kind not in KINDS]
    assert strange == [], HELP
    text = documents.running_text(page)
    assert not re.search(r"```|~~~|<pre|^(\t| {4,})(\$|pydag|make) ", text, re.MULTILINE), (
        "a block that is not closed, or not between lines of three backticks"
    )


def test_every_kind_is_used():
    assert {block.kind for block in all_blocks()} == set(KINDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_one(page):
    for block in documents.blocks(page):
        if block.kind.startswith(("console", "sh")):
            for arguments in documents.pydag_commands(block.text.replace("\n$ ", "\n")):
                documents.check_arguments(arguments)
    for text in documents.inline(page):
        for arguments in documents.pydag_commands(text):
            documents.check_arguments(arguments, whole=False)


def test_every_command_that_the_program_names_is_one():
    told = [(path, line) for path in SOURCES for text in texts(path) for line in named(text)]
    assert len(told) > 60
    for path, line in told:
        for arguments in documents.pydag_commands(line):
            documents.check_arguments(arguments, whole=False, where=str(path))


def named(text):
    """The commands that a text tells people to type: in backticks, or in a line of examples."""
    found = re.findall(r"`((?:\w+=\S+ )*pydag [^`]+)`", text)
    return found + re.findall(
        r"(?:^ {4,}|goes on: |, or )((?:\w+=\S+ )*pydag [a-z].*)", text, re.MULTILINE
    )


def texts(path):
    """The texts in a file's code; what is filled in is an X."""
    content = path.read_text(encoding="utf-8")
    if "pydag " not in content:
        return []
    if path.suffix != ".py":
        return [content]
    tree = ast.parse(content)
    inner = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "X" for p in node.values]
            found.append("".join(parts))
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner
        ):
            found.append(node.value)
    return found


@of_kind("console remote")
def test_other_hosts_need_nothing_but_pydag(block):
    programs = {documents.split(command.text)[0] for command in documents.commands(block.text)}
    assert programs <= {"export", "pydag"}


def test_what_is_to_be_installed_is_there():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    everywhere = [*PAGES, *SOURCES, ROOT / "deploy" / "Dockerfile", ROOT / "Makefile"]
    told = {
        extra
        for path in everywhere
        for found in re.findall(r"(?:pydag-dist|\.)\[([a-z0-9,]+)\]'", path.read_text("utf-8"))
        for extra in found.split(",")
    }
    assert {"local", "worker", "flower", "postgres", "dev"} <= told
    assert told <= set(extras)


@of_kind("console docker")
def test_a_block_for_docker_names_services_that_there_are(block):
    for command in documents.commands(block.text):
        program, *words = documents.split(command.text)
        if program == "export":
            assert names(command.text) <= names((ROOT / "docker-compose.yaml").read_text())
            continue
        assert (program, words[0]) == ("docker", "compose"), block.where
        scaled = [word.partition("=")[0] for word in words if re.fullmatch(r"\w+=\d+", word)]
        assert set(scaled) <= set(COMPOSE["services"])


@of_kind("bash systemd")
def test_a_block_for_systemd_names_units_that_there_are(block):
    units = {path.stem for path in (ROOT / "deploy" / "systemd").glob("*.service")}
    assert set(re.findall(r"\bpydag-(?!dist)\w+", block.text)) <= units
    assert [
        path for path in re.findall(r"\bdeploy/\S+", block.text) if not (ROOT / path).is_file()
    ] == []


def test_the_commands_of_the_compose_file_are_some():
    for service in COMPOSE["services"].values():
        if service["image"] == "pydag-dist":
            documents.check_arguments(service["command"][1:])
    head = re.findall(r"^# {3}(.*)$", (ROOT / "docker-compose.yaml").read_text(), re.MULTILINE)
    assert head
    for line in head:
        for arguments in documents.pydag_commands(line):
            documents.check_arguments(arguments)
        if " exec " in line:
            assert shlex.split(line)[3] in COMPOSE["services"]


@of_kind("json FILE")
def test_a_dag_is_right(block):
    assert Dag.parse(block.text, block.file).tasks


@of_kind("json task")
def test_a_task_is_right(block):
    task = json.loads(block.text)
    others = [{"task_id": name, **TASK} for name in task.get("dependencies", ())]
    dag = Dag.parse({"dag_id": "x", "tasks": [*others, task]}, block.where)
    assert task["task_id"] in dag.tasks


@of_kind("json webhook")
def test_a_webhook_is_told_so(block):
    shown = json.loads(block.text)
    failed = {
        one["task_id"]: SimpleNamespace(state="failed", **one)
        for one in shown.get("failed_tasks", [])
    }
    run = SimpleNamespace(
        **{"error": None, "expected_at": None, "acts": [], **shown, "tasks": failed}
    )
    assert message_of(run, shown["event"]) == shown


@of_kind("toml alerts")
def test_settings_of_alerts_are_some(block, monkeypatch, tmp_path):
    file = tmp_path / "pydag.toml"
    file.write_text(block.text, encoding="utf-8")
    monkeypatch.setenv("PYDAG_CONFIG", str(file))
    assert {each.format for each in load_settings().webhooks.values()} == {*get_args(Format)}


@of_kind("toml pydag.toml")
def test_settings_are_some(block, monkeypatch, tmp_path):
    for name in filter(names, list(os.environ)):
        monkeypatch.delenv(name)
    file = tmp_path / "pydag.toml"
    (key_file := tmp_path / "key.json").write_text("{}")
    text = block.text.replace("/etc/pydag/service-account.json", str(key_file))
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYDAG_CONFIG", str(file))
    load_settings()
    assert WorkerSettings.load().model_fields_set == {*tomllib.loads(block.text)["worker"]}


@of_kind("toml pyproject.toml")
def test_an_entry_point_is_that_of_a_block(block):
    [(group, points)] = tomllib.loads(block.text)["project"]["entry-points"].items()
    assert group == "pydag.operators"
    files = {one.file: one.text for one in all_blocks("python FILE")}
    for name, place in points.items():
        module, _, attribute = place.partition(":")
        assert re.fullmatch(r"\w+\.\w+", name)
        assert f"class {attribute}(" in files[f"{module}.py"]


@of_kind("text diagram")
def test_a_diagram_is_one(block):
    assert re.search("[─│▶▼]", block.text)
    assert max(map(len, block.text.splitlines())) <= 100
    assert not re.search(r"^\s*(\$|pydag) ", block.text, re.MULTILINE)
    assert set(re.findall(r"\w+_\w+", block.text)) <= set(PIPELINE.tasks)


@of_kind("text faults")
def test_the_faults_of_a_session_are_those_that_there_are(block):
    head, *rows = block.text.splitlines()
    assert head.split() == ["fault", "count", "measured", "median", "worst"]
    known = {kind.__name__ for kind in faults.KINDS}
    assert {re.split(r",| {2}", row)[0] for row in rows} == known


@of_kind("text timeline")
def test_the_timeline_is_that_of_the_example(block):
    shape = r"(\w+) +\|[ ·█]{60}\| +\d+\.\d s  worker-[12]@host"
    found = [re.fullmatch(shape, line) for line in block.text.splitlines()]
    assert all(found), block.text
    assert {match[1] for match in found} == set(PIPELINE.tasks)


@of_kind("text acl")
def test_a_user_is_a_line(block):
    assert all(line.startswith("user ") for line in block.text.splitlines())
    assert block.page.name == "security.md"  # test_secured_redis.py takes them from there


def test_settings_in_the_documents_are_those_of_the_program():
    settings = {f"PYDAG_{name}".upper() for name in SETTINGS}
    settings |= {f"PYDAG_WORKER_{name}".upper() for name in WORKER_SETTINGS}
    settings |= {f"PYDAG_WEB_{name}".upper() for name in WebSettings.model_fields}
    told = set().union(*(names(page.read_text(encoding="utf-8")) for page in PAGES))
    assert told == (settings - INTERNAL) | ELSEWHERE


def test_every_setting_is_read():
    code = "\n".join(path.read_text("utf-8") for path in SOURCES if path.suffix == ".py")
    assert set(WEB_SETTINGS) == set(WebSettings.model_fields)
    fields = [*SETTINGS, *WorkerSettings.model_fields]
    assert [name for name in fields if not re.search(rf"(settings|self)\.{name}\b", code)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if path.startswith(("http:", "https:")):
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def anchors(page):
    """Those of a page's headings, as GitHub makes them."""
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
