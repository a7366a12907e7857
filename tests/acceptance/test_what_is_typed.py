"""What README, docs and examples say is typed: on one fresh `pydag up`, page by page.

What a new block must say of itself is in `tests/support/documents.py`. The file's name is the last
of those that share a `pydag up`: others look for what they did themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import runpy
import shutil
import signal
import sqlite3
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from pydag_dist import Client, Dag, Fail, Skip
from tests.acceptance.conftest import PROJECT, UP, Up
from tests.integration.test_examples import ENDS
from tests.support import documents, warm
from tests.support.documents import PAGES, Command, all_blocks
from tests.support.process import Process

# How a command that goes on for ever begins, and what it says when it is ready.
SERVERS = {
    "pydag worker": " ready.",
    "celery -A workers worker": " ready.",
    "pydag coordinator": " is ready",
    "python -m pydag_emulators": "listening on ",
}
# What the programs are that are typed: modules, so that they can be forked.
MODULES = {"pydag": ["-P", "-m", "pydag_dist"], "celery": ["-m", "celery"], "python": []}
RUN = re.compile(r"^[\w.-]+-\d{8}t\d{6}-[0-9a-f]{16}$", re.MULTILINE)
PLAYED = sorted((PROJECT / "examples" / "semantics").glob("*.json"))


class Terminal:
    """A second terminal: its variables and its last run are those of the commands before."""

    def __init__(self, up: Up, variables: dict[str, str], directory: Path) -> None:
        self.directory = directory
        self.cwd = up.home.parent
        self.env = up.env | variables
        self.env["PATH"] = f"{Path(sys.executable).parent}:{self.env['PATH']}"
        self._find_programs()
        self.run = ""
        self._servers: list[tuple[str, Process]] = []

    def type(self, command: Command) -> None:
        """Type it; AssertionError unless it does what the page says."""
        text = self._filled(command.text)
        words = command.words
        if words[:2] == ["pydag", "up"]:
            assert tuple(words[2:]) in ((), UP), "conftest.py starts another one"
            return
        if words[0] == "make":  # other tests, and CI, call these for real
            text = f"make --dry-run {text.removeprefix('make ')}"
        elif words[0] == ".ci/run":
            text = f"bash -n {text}"
        if said := [ready for begin, ready in SERVERS.items() if " ".join(words).startswith(begin)]:
            self._start(text, said[0])
            return
        status, output = self._run(text)
        fails = any(line.startswith("Error: ") for line in command.shown)
        assert (status != 0) == fails, f"{text}: status {status}: {output}"
        if found := RUN.findall(output):
            self.run = found[-1]
        rest = _alike(output)
        for part in re.split("[…\n]", "\n".join(command.shown)):
            wanted = _alike(self._filled(part))
            assert wanted in rest, f"{text}: {part!r} is not in its output: {output}"
            rest = rest[rest.index(wanted) + len(wanted) :]

    def python(self, text: str) -> None:
        file = self.directory / "block.py"
        file.write_text(text)
        status, output = self._run(f"python {file}")
        assert status == 0, output

    def sql(self, text: str, file: Path) -> None:
        with contextlib.closing(sqlite3.connect(file, timeout=30)) as database, database:
            for statement in text.split(";\n"):
                database.execute(statement)

    def end(self) -> None:
        """End its servers, which must end well."""
        for _, server in self._servers:
            server.signal(signal.SIGTERM)
        for text, server in self._servers:
            assert server.wait(60) == 0, text
        self._servers.clear()

    def _filled(self, text: str) -> str:
        if re.search(r"\bRUN\b", text):
            assert self.run, f"{text}: no run was submitted on this page before"
        text = re.sub(r"\bRUN\b", self.run, text)
        return re.sub(r"\bDIR\b", str(self.directory), text)

    def _find_programs(self) -> None:
        """That `pydag` which is forked, even after `source .venv/bin/activate`."""
        forked = str(Path(warm.program()).parent)
        path = self.env["PATH"].split(":")
        self.env["PATH"] = ":".join([forked, *(each for each in path if each != forked)])

    def _run(self, text: str) -> tuple[int, str]:
        kept = self.directory / "environment"
        result = subprocess.run(
            ["bash", "-c", f"{text}\nstatus=$?; env -0 > {kept}; exit $status"],
            cwd=self.cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        lines = kept.read_text().split("\0")
        self.env = dict(line.split("=", 1) for line in lines if "=" in line)
        self._find_programs()
        return result.returncode, result.stdout

    def _start(self, text: str, ready: str) -> None:
        log = self.directory / f"{len(self._servers)}.log"
        variables, program = re.fullmatch(r"((?:\w+=\S+ )*)(.*)", text).groups()
        env = self.env | dict(each.split("=", 1) for each in variables.split())
        typed = string.Template(program.replace("~", str(self.directory))).substitute(env)
        name, *arguments = documents.split(typed)
        command = [sys.executable, *MODULES[name], *arguments]
        server = Process(command, log, cwd=self.cwd, env=env).start()
        self._servers.append((text, server))
        server.wait_until(lambda: ready in server.text(), f"{text}: {ready}", 60)


def _alike(text: str) -> str:
    """Without what differs from run to run: spaces, times, and the state of what goes on."""
    text = re.sub(r"\((running|deferred|queued|ready)\)", "(running)", text)
    return re.sub(r"\s+", " ", re.sub(r"\d+\.\d s\b|\d+ ms\b", "0.0 s", text)).strip()


@pytest.fixture
def second(up: Up, terminal: dict[str, str], tmp_path: Path) -> Iterator[Terminal]:
    second = Terminal(up, terminal, tmp_path)
    yield second
    second.end()


@pytest.fixture(scope="module", autouse=True)
def played(up: Up, terminal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """The runs of examples/semantics, and the worker that docs/dag-files.md starts for them."""
    third = Terminal(up, terminal, tmp_path_factory.mktemp("third"))
    [page] = [page for page in PAGES if page.name == "dag-files.md"]
    [line] = [
        command
        for block in documents.blocks(page)
        if block.kind == "console"
        for command in documents.commands(block.text)
        if "--import callables" in command.text
    ]
    third.type(line)
    client = Client(terminal["PYDAG_REDIS_URL"])
    yield {path.stem: client.submit(Dag.load(path)) for path in PLAYED}
    third.end()


EXAMPLE_RUN = "pydag submit examples/pipeline/pipeline.json --wait"


def made(up: Up, terminal: Terminal) -> None:
    """The examples have made what they should."""
    environment = terminal.env
    with bigquery.Client(
        project=environment["GOOGLE_CLOUD_PROJECT"],
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": environment["BIGQUERY_EMULATOR_HOST"]},
    ) as warehouse:

        def rows(query: str) -> list[tuple]:
            return sorted(row.values() for row in warehouse.query_and_wait(query))

        assert rows("SELECT shop, amount FROM datasettest.totals") == [("north", 11), ("south", 2)]
        assert rows("SELECT id FROM datasettest.known_orders") == [(1,), (2,)]
        assert rows("SELECT item, turnover FROM datasettest.turnover") == [
            ("apple", 2.0),
            ("pear", 3.0),
        ]
        assert rows("SELECT sensor, SUM(value) FROM datasettest.readings GROUP BY 1") == [
            ("s1", 4.5),
            ("s2", 2.0),
        ]
        assert rows("SELECT id FROM datasettest.orders_of_the_night") == [(1,), (2,)]
        assert rows("SELECT row_count FROM datasettest.checked") == [(300,)]
        assert rows("SELECT train, name FROM datasettest.arrivals") == [("ICE 591", "Ulm")]
        [(count,)] = rows("SELECT COUNT(*) FROM datasettest.orders_history")
        assert count
        assert count % 1000 == 0  # by each run
    bucket = up.home / "gcs" / "project-pydag"
    assert [path.name for path in bucket.glob("inbox/*/*")] == []
    assert len([*bucket.glob("kept/2026-01-31/*.csv"), *bucket.glob("whole/2026-01-31.csv")]) == 3


# What must be so when a page has been typed.
AFTER = {"examples/README.md": made}


TYPED = {block.page: None for block in all_blocks() if block.kind in ("console", "python", "sql")}


@pytest.mark.parametrize("page", TYPED, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_page_works_when_it_is_typed(
    up: Up, second: Terminal, example_run: dict, page: Path
) -> None:
    for block in documents.blocks(page):
        if block.kind == "console":
            for command in documents.commands(block.text):
                if command.text == EXAMPLE_RUN:  # that was typed for all files
                    second.run = example_run["run_id"]
                else:
                    second.type(command)
        elif block.kind == "python":
            second.python(block.text)
        elif block.kind == "sql":
            of_history = "pydag_runs" in block.text
            file = up.home / "history.sqlite" if of_history else second.directory / "new.sqlite"
            second.sql(block.text, file)
    AFTER.get(str(page.relative_to(PROJECT)), lambda *_: None)(up, second)


def typed() -> str:
    """All commands of the pages."""
    return "\n".join(block.text for block in all_blocks("console"))


def test_every_example_is_typed_or_played() -> None:
    shown = [block.file for block in all_blocks("json FILE")]
    # What needs dbt is run by `make clients`.
    needs_dbt = set((PROJECT / "examples" / "dbt").glob("*.json"))
    every = set((PROJECT / "examples").rglob("*.json")) - set(PLAYED) - needs_dbt
    shown += [str(path.relative_to(PROJECT)) for path in every]
    lines = [line for line in typed().splitlines() if re.search("pydag (submit|publish) ", line)]
    assert [file for file in shown if not any(file in line for line in lines)] == []


def test_the_examples_of_what_runs_when_end_as_documented(played: dict) -> None:
    for name, run in played.items():
        with contextlib.suppress(Exception):
            run.wait(timeout=120)
        ends = (run.state, {task: found.state for task, found in run.tasks.items()})
        assert ends == ENDS[name], name


def test_the_files_of_a_python_block_are_used(up: Up, terminal: dict[str, str]) -> None:
    """An operator of one's own, installed where `pydag up` runs."""
    task = {"task_id": "send", "operator": "acme.send_mail", "params": {"to": "me@example.com"}}
    file = up.home.parent / "mail.json"
    file.write_text(json.dumps({"dag_id": "mail", "tasks": [task]}))
    environment = terminal | {"PYTHONPATH": str(up.home.parent / "installed")}
    result = up.run("submit", str(file), "--wait", "--json", **environment)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["tasks"]["send"]["result"] == {"sent": 1}
    loaded = runpy.run_path(str(up.home.parent / "arrivals.py"))
    assert loaded["load"]("2026-01-31", ["a.csv"]) == 1
    for day, ends_by in (("2026-01-31", Skip), ("2019-12-31", Fail)):
        with pytest.raises(ends_by):
            loaded["load"](day, ["a.csv"] if ends_by is Fail else [])
    files = {block.file for block in all_blocks("python FILE")}
    shown = {"etl.py", "acme_pydag.py", "arrivals.py"}
    assert files == shown, "say in which test a new one is used"


# Stand-ins that note how they were called. `gcloud storage cp` needs its files.
STAND_IN = """#!/usr/bin/env bash
printf '%s\\n' "$(basename "$0") $*" >> "$CALLS"
case "$*" in
  "projects describe"*) echo 123456789 ;;
  "storage cp"*) for file in "${@:3:$#-3}"; do test -s "$file" || exit 1; done ;;
esac
"""


@pytest.mark.parametrize("page", {block.page for block in all_blocks("sh google")}, ids=str)
def test_what_is_typed_for_google_fits_together(page: Path, tmp_path: Path) -> None:
    blocks = [block for block in documents.blocks(page) if block.kind == "sh google"]
    for name in ("gcloud", "bq", "pydag"):
        (tmp_path / name).write_text(STAND_IN)
        (tmp_path / name).chmod(0o755)
    example = shutil.copytree(PROJECT / "examples" / "pipeline", tmp_path / "pipeline")
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(block.text for block in blocks) + "wait"],
        cwd=example,
        env={"PATH": path, "CALLS": str(tmp_path / "calls")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    mine = (example / "mine.json").read_text()
    assert "local-project" not in mine
    assert "project-pydag" not in mine.replace("my-project-pydag", "")
    Dag.parse(mine)
    calls = (tmp_path / "calls").read_text()
    assert set(re.findall(r"^pydag (\w+)", calls, re.MULTILINE)) == {
        "coordinator",
        "worker",
        "submit",
    }
    text = page.read_text()
    roles = set(re.findall(r"--role=roles/([\w.]+)", calls))
    assert roles >= {"bigquery.jobUser", "dataproc.worker"}
    assert all(f"| `roles/{role}`" in text or f", `roles/{role}`" in text for role in roles)
