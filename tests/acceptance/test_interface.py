"""The web interface in a real browser, on a real installation: what it shows, live, and does."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.acceptance.conftest import PROJECT, PYDAG
from tests.acceptance.test_flower import CHROMIUM, QUIET
from tests.support.process import Process

pytestmark = pytest.mark.big

AXE = PROJECT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
# Where README's pictures go, such as docs/pictures; without it none are made.
PICTURES = os.environ.get("PYDAG_TEST_PICTURES", "")
PATIENT = 60_000  # ms
NAMELESS = """
([user, host]) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const text = walker.currentNode
    if (text.data.includes(host)) {
      text.data = text.data.replaceAll(`${user}@${host}`, 'you@host')
        .replaceAll(`@${host}`, '@host')
    }
  }
}
"""

# Two tasks that take a moment, and one that fails each time.
FAILING = {
    "dag_id": "failing",
    "tasks": [
        {
            "task_id": "fine",
            "operator": "python.call",
            "params": {"callable": "etl:report", "args": ["a", 1]},
        },
        {
            "task_id": "wrong",
            "operator": "python.call",
            "params": {"callable": "etl:report", "args": ["b", "no number"]},
            "dependencies": ["fine"],
        },
        {
            "task_id": "after",
            "operator": "python.call",
            "params": {"callable": "etl:report", "args": ["c"]},
            "dependencies": ["wrong"],
        },
    ],
}


@pytest.fixture(scope="module")
def web(up, terminal, tmp_path_factory):
    """The address of a `pydag web` below a path, with the key that lets a browser in."""
    command = [PYDAG, "web", "--port", "0"]
    home = tmp_path_factory.mktemp("web")  # the file with its key is there
    of_web = {
        "PYDAG_HOME": str(home),
        "PYDAG_DATABASE_URL": f"sqlite:///{up.home / 'history.sqlite'}",
        "PYDAG_WEB_PREFIX": "/below/it",
    }
    env = {**up.env, **terminal, **of_web}
    output = home / "web.out"
    process = Process(command, output, cwd=up.home.parent, env=env).start()
    try:
        process.wait_until(lambda: "?key=" in process.text(), "it listens", 60)
        [address] = re.findall(r"http://\S+\?key=\S+", process.text())
        yield address
    finally:
        assert process.end() == 0


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class Interface:
    """A page of the interface. All that the browser complains of is a failure."""

    def __init__(self, page: Page, web: str) -> None:
        self.page, self.base = page, web.partition("?")[0].rstrip("/")
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)
        self.open("/")

    def _heard(self, message) -> None:
        # A DAG that isn't published is asked for, too.
        if message.type == "error" and "404" not in message.text:
            self.complaints.append(message.text)

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)

    def picture(self, name: str) -> None:
        """Keep what is seen, if pictures are wanted; no name of this machine is in them."""
        if PICTURES:
            self.page.evaluate(NAMELESS, [getpass.getuser(), socket.gethostname()])
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png")


@pytest.fixture(scope="module")
def context(browser, web):
    """A browser that the key has let in: it works once."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(web)
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible(timeout=PATIENT)
    assert "key" not in page.url
    page.close()
    yield context
    context.close()


@pytest.fixture
def interface(context, web):
    interface = Interface(context.new_page(), web)
    yield interface
    interface.page.close()
    assert interface.complaints == []


@pytest.fixture(scope="module")
def failed_run(up, terminal):
    """The id of a run that has failed."""
    (up.home.parent / "failing.json").write_text(json.dumps(FAILING))
    result = up.run("submit", "failing.json", "--wait", "--json", **terminal)
    return json.loads(result.stdout)["run_id"]


def test_a_run_is_seen_live_to_its_end_without_a_reload(interface, up, terminal):
    page = interface.page
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    page.evaluate("window.notReloaded = true")
    submitted = up.run("submit", "sales.json", "--param", "seconds=1", "--json", **terminal)
    run = json.loads(submitted.stdout)["run_id"]
    link = page.get_by_role("link", name=run.removeprefix("sales-"))
    expect(link).to_be_visible(timeout=PATIENT)
    link.click()
    box = page.locator(".graph .box", has_text="report")
    box.click()
    expect(box).to_have_attribute("data-state", "success", timeout=PATIENT)
    expect(page.locator(".run-head .title .state")).to_have_text("success", timeout=PATIENT)
    drawer = page.get_by_role("complementary", name="Task report")
    expect(drawer.locator(".log")).to_contain_text("done: datasettest.shops", timeout=PATIENT)
    expect(page.locator(".run-head")).to_contain_text("3 of 3 tasks have ended")
    assert page.evaluate("window.notReloaded")
    assert page.url == f"{interface.base}/runs/{run}/tasks/report"


def test_a_run_that_goes_on_is_cancelled_from_its_page(interface, up, terminal):
    page = interface.page
    submitted = up.run("submit", "sales.json", "--param", "seconds=300", "--json", **terminal)
    run = json.loads(submitted.stdout)["run_id"]
    interface.open(f"/runs/{run}/tasks/report")
    box = page.locator(".graph .box", has_text="report")
    expect(box).to_have_attribute("data-state", "running", timeout=PATIENT)
    expect(page.locator(".stream")).to_have_text("live")
    sentence = page.locator(".drawer .sentence")
    expect(sentence).to_contain_text("report is running", timeout=PATIENT)
    interface.picture("run-live")
    page.get_by_role("button", name="Cancel", exact=True).click()
    menu = page.locator(".menu")
    expect(menu).to_contain_text("those that run are stopped")
    menu.get_by_role("button", name="Cancel").click()
    expect(box).to_have_attribute("data-state", "cancelled", timeout=PATIENT)
    expect(page.locator(".run-head .title .state")).to_have_text("cancelled", timeout=PATIENT)
    expect(page.get_by_role("button", name="Resume", exact=True)).to_be_enabled()


def test_a_failed_run_says_why_and_is_resumed_from_its_page(interface, failed_run):
    page = interface.page
    interface.open(f"/runs/{failed_run}")
    why = page.get_by_role("list", name="Why")
    expect(why).to_contain_text("wrong failed", timeout=PATIENT)
    page.get_by_role("button", name="Resume: the same in a terminal").click()
    menu = page.locator(".menu")
    expect(menu).to_contain_text(f"pydag resume {failed_run}")
    expect(menu).to_contain_text(f"/below/it/api/v1/runs/{failed_run}/resume")
    menu.get_by_role("button", name="Copy the command").click()
    assert page.evaluate("navigator.clipboard.readText()") == f"pydag resume {failed_run}"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator(".run-head")).to_contain_text("round 2", timeout=PATIENT)
    expect(page.locator(".run-head .title .state")).to_have_text("failed", timeout=PATIENT)
    page.get_by_role("link", name="wrong failed").click()
    drawer = page.get_by_role("complementary", name="Task wrong")
    expect(drawer).to_contain_text("TypeError", timeout=PATIENT)
    expect(drawer.locator("table.list tbody tr")).to_have_count(2, timeout=PATIENT)
    interface.picture("run-failed")


def test_it_is_used_by_the_keyboard_alone(interface, failed_run):
    page = interface.page
    interface.open(f"/runs/{failed_run}")
    expect(page.locator(".graph .box")).to_have_count(3, timeout=PATIENT)

    def tab_to(selector: str) -> None:
        for _ in range(40):
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"Tab never reaches {selector}")

    tab_to(".graph")
    page.keyboard.press("ArrowRight")
    said = page.locator("[aria-live=polite]")
    expect(said).to_have_text("fine: success")
    page.keyboard.press("ArrowRight")
    expect(said).to_have_text("wrong: failed")
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="Task wrong")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary")).to_have_count(0)

    # The list says what the graph says.
    tab_to(".tab[aria-pressed=false]")
    page.keyboard.press("Enter")
    lines = page.locator(".tasks .line")
    expect(lines).to_have_text(
        [
            re.compile("failed.*wrong"),
            re.compile("upstream failed.*after"),
            re.compile("success.*fine"),
        ]
    )


def test_each_page_has_nothing_that_axe_finds(interface, failed_run):
    page = interface.page
    runs = page.evaluate(
        "async url => (await (await fetch(url)).json()).items", f"{interface.base}/api/v1/runs"
    )
    other = next((run["run_id"] for run in runs if run["run_id"] != failed_run), failed_run)
    pages = {
        "/": "Runs",
        f"/runs/{failed_run}": failed_run,
        f"/runs/{failed_run}/tasks/wrong?view=list": failed_run,
        f"/runs/{failed_run}/compare/{other}": "Two runs beside each other",
        "/dags": "DAGs",
        "/dags/failing": "failing",
        "/schedules": "Schedules",
        "/fleet": "Fleet",
        "/settings": "Settings",
        "/nowhere": "There is no such page",
    }
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path, heading in pages.items():
            interface.open(path)
            expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
            expect(page.get_by_text("Waiting for")).to_have_count(0, timeout=PATIENT)
            page.evaluate(AXE.read_text() + ";0")
            result = page.evaluate("axe.run()")
            found += [
                f"{scheme} {path}: {one['id']}: {one['nodes'][0]['html'][:120]}"
                f" {one['nodes'][0]['failureSummary'][:300]}"
                for one in result["violations"]
            ]
    assert found == []


def test_the_example_pipeline(interface, example_run):
    page = interface.page
    interface.open(f"/runs/{example_run['run_id']}/tasks/initial_ingestion_1")
    boxes = page.locator(".graph .box[data-state=success]")
    expect(boxes).to_have_count(len(example_run["tasks"]), timeout=PATIENT)
    expect(page.locator(".run-head")).to_contain_text("billed")
    expect(page.locator(".timeline .line")).to_have_count(len(example_run["tasks"]))
    drawer = page.get_by_role("complementary", name="Task initial_ingestion_1")
    expect(drawer).to_contain_text("initial_ingestion_1 succeeded", timeout=PATIENT)
    expect(drawer).to_contain_text("destination_table")
    interface.picture("pipeline")


def test_on_a_phone_it_says_whether_it_is_red_and_why(interface, failed_run):
    page = interface.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    interface.open(f"/runs/{failed_run}")
    expect(page.locator(".run-head .title .state")).to_have_text("failed", timeout=PATIENT)
    expect(page.get_by_role("list", name="Why")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Resume", exact=True)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    interface.picture("phone")
