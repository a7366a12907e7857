"""Flower shows what runs: its task list and a task's own page, in a browser."""

from __future__ import annotations

import pytest
import requests
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def page(browser):
    with browser.new_page() as page:
        yield page


@pytest.mark.timeout(300)
def test_tasks_are_shown_under_their_own_names(page, up, example_run):
    flower = up.state["addresses"]["Flower"]
    page.goto(f"{flower}/tasks")
    page.locator("input[type=search]").fill("TEST_DAG.insert_to_fact")
    row = page.locator("tr", has_text="TEST_DAG.insert_to_fact")
    expect(row.first).to_contain_text("SUCCESS", timeout=30_000)

    # Its remote jobs were polled many times.
    page.locator("input[type=search]").fill("polls")
    expect(page.locator("#tasks-table tbody")).to_contain_text("No tasks match")

    page.goto(f"{flower}/task/{example_run['run_id']}/insert_to_fact/1")
    expect(page.locator("body")).to_contain_text("TEST_DAG.insert_to_fact", timeout=30_000)
    expect(page.locator("body")).to_contain_text("SUCCESS")


def test_both_workers_are_there(page, up):
    page.goto(f"{up.state['addresses']['Flower']}/workers")
    for name in ("worker-1@", "worker-2@"):
        expect(page.locator("body")).to_contain_text(name, timeout=30_000)


def test_it_answers_no_other_page_and_by_no_other_name(up):
    flower = up.state["addresses"]["Flower"]
    shutdown = f"{flower}/api/worker/shutdown/worker-1"

    def status(url, **headers):
        return requests.post(url, headers=headers, timeout=10).status_code

    assert status(shutdown, Origin="http://evil.example") == 403
    assert status(shutdown, **{"Sec-Fetch-Site": "same-site"}) == 403
    # Its own page's button does nothing either, as long as Flower asks nobody for a password.
    assert status(shutdown, Origin=flower) == 401
    for path in ("/tasks", "/api/tasks", "/healthcheck", "/static/css/flower.css", "/nowhere"):
        answer = requests.get(flower + path, headers={"Host": "rebound.example"}, timeout=10)
        assert answer.status_code == 403, path
