"""The web part of `pydag up`: what it prints lets a browser in, and a run is seen live by REST."""

from __future__ import annotations

import json
import subprocess

import requests

from tests.acceptance.conftest import PLAIN
from tests.support.documents import all_blocks


def test_the_address_that_is_printed_first_lets_a_browser_in_once(up):
    printed = up.output.read_text().split("Open ", 1)[1].split()[0]
    link = up.run("web", "--link").stdout.strip()
    assert link.startswith(up.state["addresses"]["web"])
    assert printed.startswith(up.state["addresses"]["web"])
    browser = requests.Session()
    assert browser.get(link, timeout=30).status_code == 200
    url = f"{up.state['addresses']['web']}/api/v1"
    assert browser.get(f"{url}/me", timeout=30).json()["role"] == "admin"
    assert requests.get(link, timeout=30).status_code == 401
    assert requests.get(f"{url}/me", timeout=30).status_code == 401


def test_the_lines_of_the_page_about_it_work(up):
    [block] = all_blocks("bash")
    token = up.run("tokens", "--add", "docs", "--role", "admin", **up.exports()).stdout.strip()
    told = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        env={**PLAIN, "URL": up.state["addresses"]["web"], "TOKEN": token},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert '"state":"success"' in told.stdout
    assert "event: end" in told.stdout
    assert token not in up.run("tokens", **up.exports()).stdout


def test_a_run_is_submitted_followed_and_read_by_rest(up):
    web = up.state["addresses"]["web"]
    browser = requests.Session()
    browser.get(up.run("web", "--link").stdout.strip(), timeout=30)
    with requests.Session() as session:
        session.cookies = browser.cookies
        session.headers["X-Pydag"] = "1"
        dag = {
            "dag_id": "by_rest",
            "tasks": [
                {"task_id": "a", "operator": "bigquery.query", "params": {"sql": "SELECT 1"}},
                {
                    "task_id": "b",
                    "operator": "bigquery.query",
                    "params": {"sql": "SELECT 2"},
                    "dependencies": ["a"],
                },
            ],
        }
        made = session.put(f"{web}/api/v1/runs/by-rest", json={"dag": dag}, timeout=30)
        assert made.status_code == 201, made.text
        run = f"{web}/api/v1/runs/by-rest"
        states, kinds = {}, []
        with session.get(f"{run}/events", stream=True, timeout=120) as stream:
            kind = ""
            for line in stream.iter_lines(decode_unicode=True):
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                    kinds.append(kind)
                elif name == "data" and kind in {"snapshot", "changes"}:
                    told = json.loads(value)
                    told = told.get("tasks", told)
                    names = (told["states"][place] for place in told["state"])
                    states |= dict(zip(told["task"], names, strict=True))
                elif name == "data" and kind == "end":
                    assert json.loads(value) == {"state": "success"}
        assert states == {"a": "success", "b": "success"}
        assert (kinds[0], kinds[-1]) == ("snapshot", "end")
        assert kinds.count("snapshot") == 1
        assert session.get(f"{run}/tasks/b/tries", timeout=30).json()["items"][0]["worker"]
        assert session.get(f"{run}", timeout=30).json()["state"] == "success"
