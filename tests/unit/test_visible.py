"""What comes from outside cannot control the terminal of those who look at it."""

from __future__ import annotations

import json
import unicodedata

import pytest
from click.testing import CliRunner

from pydag_dist.cli import pydag
from pydag_dist.cli.waiting import wait_for
from pydag_dist.client import Client
from pydag_dist.visible import one_line, visible

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\u202egnp\u2066\u2028\u2029\x00\x7f\ud83d"


def test_control_characters_are_shown():
    assert visible("a\tb\nc é 漢 👩‍💻") == "a\tb\nc é 漢 👩‍💻"
    assert visible("\x1b[31m\x00\x9b\x7f") == r"\x1b[31m\x00\x9b\x7f"
    assert visible("\u202e\u2028\ud83d\r") == r"\u202e\u2028\ud83d\r"
    assert one_line("a\nb") == r"a\nb"


def assert_harmless(text):
    harmful = {c for c in text if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"}} - {*"\n\t"}
    assert harmful == set()
    assert not {*"\u202e\u2066"} & {*text}


@pytest.fixture
def hostile_run(installation, tmp_path):
    path = tmp_path / "dag.json"
    tasks = [{"task_id": "a", "operator": "python.call", "params": {"callable": "etl:a"}}]
    path.write_text(json.dumps({"dag_id": "hostile", "tasks": tasks}))
    run_id = CliRunner().invoke(pydag, ["submit", str(path)]).stdout.strip()
    installation.worker = "w\x1b[31m@host"
    installation.plan(run_id)
    held = installation.claim()
    installation.log(held, HOSTILE.replace("\ud83d", ""))
    installation.end(held, "failed", error=HOSTILE.replace("\ud83d", ""))
    return run_id


@pytest.mark.parametrize(
    "command",
    ["status RUN", "runs", "logs RUN", "logs RUN -f", "why RUN a", "status RUN --json", "workers"],
)
def test_no_command_lets_a_task_control_the_terminal(hostile_run, command):
    result = CliRunner().invoke(pydag, command.replace("RUN", hostile_run).split())
    assert result.exit_code == 0
    assert_harmless(result.output)
    if "logs" in command or "why" in command:
        assert r"\x1b]0;owned\x07" in result.output


def test_nor_does_a_file_or_an_error(installation, tmp_path):
    path = tmp_path / "dag.json"
    path.write_text(json.dumps({"dag_id": HOSTILE, "tasks": [{"task_id": HOSTILE}]}))
    for command in (["validate", str(path)], ["graph", str(path)], ["submit", str(path)]):
        result = CliRunner().invoke(pydag, command)
        assert result.exit_code == 2
        assert_harmless(result.output)
    result = CliRunner().invoke(pydag, ["status", HOSTILE])
    assert_harmless(result.output)


def test_waiting_shows_a_failure_without_its_control_characters(hostile_run, capsys):
    with pytest.raises(SystemExit):
        wait_for(Client().run(hostile_run), 5)
    output = capsys.readouterr()
    assert_harmless(output.out + output.err)
    assert r"\x1b]0;owned\x07" in output.err
