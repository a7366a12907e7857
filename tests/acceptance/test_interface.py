"""The web interface in a real browser, on a real installation: what it shows, live, and does."""

from __future__ import annotations

import json
import re
import sys
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.support.cuttable import Cuttable
from tests.support.interface import (
    DRAWN,
    EVIL,
    FAILING,
    FOREIGN,
    NAMED,
    REACHABLE,
    Interface,
    big_dag,
    foreign_site,
)
from tests.support.process import Process

pytestmark = pytest.mark.big

PATIENT = 60_000  # ms


@pytest.fixture(scope="module")
def web(up, terminal, tmp_path_factory):
    """The address of a `pydag web` below a path, with the key that lets a browser in."""
    command = [sys.executable, "-P", "-m", "pydag_dist", "web", "--port", "0"]
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
def context(browser, web):
    """A browser that the key has let in: it works once."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(web)
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible(timeout=PATIENT)
    assert "key" not in page.url
    yield context
    context.close()


@pytest.fixture(scope="module")
def page(context):
    """Each test goes to where it works: a new page is a new process."""
    return context.pages[0]


@pytest.fixture
def interface(page, web):
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="light")
    interface = Interface(page, web)
    yield interface
    assert interface.ended() == []


@pytest.fixture(scope="module")
def failed_run(up, terminal):
    """The id of a run that has failed."""
    (up.home.parent / "failing.json").write_text(json.dumps(FAILING))
    result = up.run("submit", "failing.json", "--wait", "--json", **terminal)
    return json.loads(result.stdout)["run_id"]


def test_a_run_is_seen_live_to_its_end_without_a_reload(interface, up, terminal):
    page = interface.page
    interface.open("/")
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

    # What closes lets the keyboard go on where it was opened.
    lines.nth(0).press("Enter")
    page.get_by_role("button", name="Close the task").press("Enter")
    expect(page.locator(".tasks")).to_be_focused()


def test_each_page_has_nothing_that_axe_finds(interface, failed_run, up, terminal):
    (up.home.parent / "due.json").write_text(json.dumps(NAMED | {"dag_id": "due"}))
    assert up.run("publish", "due.json", **terminal).returncode == 0  # the page of schedules has it
    page = interface.page
    interface.open("/")
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
    for path, heading in pages.items():
        interface.open(path)
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        expect(page.get_by_text("Waiting for")).to_have_count(0, timeout=PATIENT)
        found += interface.axe()
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


@pytest.fixture
def waiting_run(up, terminal):
    """The id of a run whose task takes as long as it is let."""
    args = ["w", 300]
    task = {"task_id": "wait", "operator": "python.call"}
    dag = {
        "dag_id": "waiting",
        "tasks": [task | {"params": {"callable": "etl:report", "args": args}}],
    }
    (up.home.parent / "waiting.json").write_text(json.dumps(dag))
    submitted = up.run("submit", "waiting.json", "--json", **terminal)
    run = json.loads(submitted.stdout)["run_id"]
    yield run
    up.run("cancel", run, **terminal)


def test_a_stream_that_is_cut_is_told_and_heals(interface, waiting_run, up, terminal):
    """A change that nobody could tell meanwhile is there without a reload."""
    page = interface.page
    address = urlsplit(interface.base)
    with Cuttable(address.port) as way:
        known = page.context.cookies()  # of each port there is one
        page.context.add_cookies([{**each, "name": f"pydag-{way.port}"} for each in known])
        page.goto(f"http://127.0.0.1:{way.port}{address.path}/runs/{waiting_run}")
        state, stream = page.locator(".run-head .title .state"), page.locator(".stream")
        expect(stream).to_have_text("live", timeout=PATIENT)
        expect(state).to_have_text("running", timeout=PATIENT)
        page.evaluate("window.notReloaded = true")
        way.cut()
        expect(stream).to_have_text("connecting again…", timeout=PATIENT)
        assert up.run("cancel", waiting_run, **terminal).returncode == 0
        expect(state).to_have_text("running")
        way.heal()
        expect(state).to_have_text("cancelled", timeout=PATIENT)
        expect(stream).not_to_have_text("connecting again…", timeout=PATIENT)
        assert page.evaluate("window.notReloaded")
        interface.open("/")
    lost = [each for each in interface.complaints if "net::ERR_" in each]
    interface.complaints = [each for each in interface.complaints if each not in lost]


def test_of_two_viewers_one_has_no_rights(interface, browser, waiting_run):
    page = interface.page
    interface.open("/settings")
    page.get_by_role("form", name="New token").get_by_label("For").fill("reader")
    page.get_by_role("button", name="Make a token").click()
    token = page.locator(".panel pre").inner_text()
    assert token.startswith("pydag_")
    page.reload()
    mine = page.get_by_role("row").filter(has_text="reader")
    expect(mine).to_be_visible()
    assert token not in page.content()  # it was shown once

    other = browser.new_context(extra_http_headers={"Authorization": f"Bearer {token}"})
    viewer = other.new_page()
    viewer.goto(f"{interface.base}/runs/{waiting_run}/tasks/wait")
    interface.open(f"/runs/{waiting_run}")
    state = ".run-head .title .state"
    for each in (viewer, page):
        expect(each.locator(state)).to_have_text("running", timeout=PATIENT)
    button = viewer.get_by_role("button", name="Cancel", exact=True)
    expect(button).to_be_disabled()
    expect(button).to_have_attribute("title", "This needs the role operator.")
    refused = viewer.evaluate(
        "async url => (await fetch(url, {method: 'POST', headers: {'X-Pydag': '1'}})).status",
        f"{interface.base}/api/v1/runs/{waiting_run}/cancel",
    )
    assert refused == 403
    expect(page.locator(state)).to_have_text("running")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.locator(".menu").get_by_role("button", name="Cancel").click()
    for each in (viewer, page):
        expect(each.locator(state)).to_have_text("cancelled", timeout=PATIENT)

    interface.open("/settings")
    mine.get_by_role("button", name="Take back", exact=True).click()
    page.locator(".menu").get_by_role("button", name="Take back").click()
    expect(mine).to_have_count(0, timeout=PATIENT)
    viewer.reload()
    expect(viewer.get_by_role("heading", name="Who are you?")).to_be_visible(timeout=PATIENT)
    other.close()


def test_a_page_of_another_origin_can_do_nothing(context, interface, waiting_run):
    """Of another port: for the browser that is the same site, so that it sends the cookie."""
    box = interface.page.locator(".run-head .title .state")
    interface.open(f"/runs/{waiting_run}")
    expect(box).to_have_text("running", timeout=PATIENT)
    with foreign_site() as port:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        seen = page.evaluate(FOREIGN, f"{interface.base}/api/v1/runs/{waiting_run}/cancel")
        assert set(seen) == {""}
        page.close()
    interface.page.reload()
    expect(box).to_have_text("running", timeout=PATIENT)


def test_nothing_that_a_dag_says_is_run_or_breaks_the_page(interface, up, terminal):
    page = interface.page
    call = {"operator": "python.call"}
    long = EVIL + "W" * 16_000
    tasks = [
        {"task_id": "constructor", "params": {"callable": "etl:report", "args": [long]}},
        {
            "task_id": "__proto__",
            "params": {"callable": "etl:report", "args": ["x"], "kwargs": {long[:3000]: 1}},
            "dependencies": ["constructor"],
        },
        {
            "task_id": "x" * 200,
            "params": {"callable": "etl:report", "args": ["javascript:window.pwned=1"]},
            "dependencies": ["constructor"],
        },
    ]
    evil = {"dag_id": "__proto__", "tags": [EVIL[:100]], "tasks": [call | each for each in tasks]}
    (up.home.parent / "evil.json").write_text(json.dumps(evil))
    told = up.run("submit", "evil.json", "--wait", "--json", **terminal)
    assert told.stdout, told.stderr
    run = json.loads(told.stdout)["run_id"]
    for width in (1280, 320):  # also a phone at 120 %, and 1280 at 400 %
        page.set_viewport_size({"width": width, "height": 844})
        paths = [f"/runs/{run}", f"/runs/{run}/compare/{run}", "/dags/__proto__", "/"]
        for path in [*(f"/runs/{run}/tasks/{each['task_id']}" for each in tasks), *paths]:
            interface.open(path)
            expect(page.locator("h1").first).to_be_visible(timeout=PATIENT)
            expect(page.get_by_text("Waiting for")).to_have_count(0, timeout=PATIENT)
            assert page.evaluate("window.pwned ?? ({}).polluted ?? null") is None
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.locator("a[href^='javascript:'], main img, main script").count() == 0
            assert not {"\u202e", "\x1b"} & set(page.inner_text("main")), path
    interface.open(f"/runs/{run}/tasks/__proto__?view=list")
    why = page.get_by_role("list", name="Why")
    expect(why).to_contain_text("<img src=x onerror='window.pwned=1'>", timeout=PATIENT)
    assert why.bounding_box()["height"] < 500
    interface.open("/runs/%E0%A4%A")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()


def test_5000_tasks_are_seen_live_to_their_end(interface, up, terminal):
    page = interface.page
    (up.home.parent / "big.json").write_text(json.dumps(big_dag()))
    submitted = up.run("submit", "big.json", "--json", **terminal)
    run = json.loads(submitted.stdout)["run_id"]
    interface.open(f"/runs/{run}")
    tools = page.locator(".tools")
    expect(tools).to_contain_text("5,000 tasks in 4 boxes", timeout=PATIENT)
    page.evaluate(DRAWN)
    # It answers while tasks change: a family is opened and closed, the list is looked at.
    page.locator(".graph .box", has_text="load").click()
    expect(tools).to_contain_text("5,000 tasks in 301 boxes", timeout=PATIENT)
    page.get_by_role("button", name="Close families").click()
    expect(page.locator(".run-head .title .state")).to_have_text("failed", timeout=PATIENT)
    expect(page.locator(".run-head")).to_contain_text("5,000 of 5,000 tasks have ended")
    counts = page.evaluate(
        "async url => (await (await fetch(url)).json()).counts",
        f"{interface.base}/api/v1/runs/{run}",
    )
    assert counts == {"success": 299, "failed": 1, "upstream_failed": 4_700}
    legend = page.get_by_role("list", name="Tasks by state")
    for says, count in (("success", "299"), ("failed", "1"), ("upstream failed", "4,700")):
        expect(legend.get_by_role("listitem").filter(has_text=f"{says} {count}")).to_have_count(1)
    expect(page.locator(".graph .box", has_text="check")).to_have_attribute(
        "data-state", "upstream_failed"
    )
    assert page.evaluate("window.drawn.most") <= 1
    page.get_by_role("button", name="List", exact=True).click()
    expect(page.locator(".tasks .line").first).to_contain_text("wrong")


def test_all_of_every_page_is_reached_by_the_keyboard(interface, failed_run):
    page = interface.page
    pages = (
        "/",
        f"/runs/{failed_run}?view=list",
        f"/runs/{failed_run}/tasks/wrong",
        f"/runs/{failed_run}/compare/{failed_run}",
        "/dags",
        "/dags/failing",
        "/schedules",
        "/fleet",
        "/settings",
    )
    for path in pages:
        interface.open(path)
        expect(page.locator("h1").first).to_be_visible(timeout=PATIENT)
        expect(page.get_by_text("Waiting for")).to_have_count(0, timeout=PATIENT)
        page.evaluate(
            f"window.wanted = ({REACHABLE})(); window.reached = new Set(); window.unmarked = []"
        )
        for _ in range(page.evaluate("document.querySelectorAll('*').length")):
            page.keyboard.press("Tab")
            at = page.evaluate(
                "() => { const at = document.activeElement; const known = reached.has(at);"
                " reached.add(at); if (at === document.body) return false;"
                " if (getComputedStyle(at).outlineStyle === 'none') unmarked.push(at.outerHTML);"
                " return known }"
            )
            if at:
                break
        missed = page.evaluate(
            "wanted.filter(e => e.isConnected && !reached.has(e)).map(e => e.outerHTML)"
        )
        assert (missed, page.evaluate("unmarked")) == ([], []), path


def test_what_people_did_and_what_a_try_had_is_on_the_pages(interface, up, terminal, failed_run):
    page = interface.page
    (up.home.parent / "named.json").write_text(json.dumps(NAMED))
    for command in (("publish", "named.json"), ("pause", "named"), ("unpause", "named")):
        assert up.run(*command, **terminal).returncode == 0
    told = up.run("run", "named", "--param", "country=co", "--wait", "--json", **terminal)
    run = json.loads(told.stdout)["run_id"]
    interface.open("/dags/named")
    rows = page.get_by_role("row").filter(has=page.locator("time"))
    done = [re.compile("^unpaused"), re.compile("^paused"), re.compile("^published version 1")]
    expect(rows).to_have_text(done, timeout=PATIENT)
    begin = page.get_by_role("button", name="Backfill…")
    begin.press("Enter")
    expect(page.get_by_label("From", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(begin).to_be_focused()
    interface.open(f"/runs/{run}/tasks/load")
    drawer = page.get_by_role("complementary", name="Task load")
    expect(drawer).to_contain_text("as try 1 has them", timeout=PATIENT)
    expect(drawer.locator("pre").filter(has_text="callable").first).to_contain_text('"co_202')
    drawer.get_by_text("As the DAG has them").click()
    expect(drawer.get_by_text("{{ params.country }}")).to_be_visible()

    assert up.run("mark", failed_run, "wrong", "skipped", **terminal).returncode == 0
    interface.open(f"/runs/{failed_run}")
    acts = page.locator(".acts")
    expect(acts).to_contain_text("marked wrong as skipped by", timeout=PATIENT)
    interface.open(f"/runs/{failed_run}/compare/{run}")
    expect(page.get_by_role("cell", name="not in it")).to_have_count(4, timeout=PATIENT)
    interface.open("/runs/no-run")
    expect(page.get_by_role("heading", name="There is no such run")).to_be_visible(timeout=PATIENT)
    expect(page.locator(".stream")).to_have_text("")


def test_a_browser_with_a_wrong_clock_and_a_key_that_is_void(
    browser, context, interface, failed_run
):
    """Times are the server's; who is signed out in the middle is asked who that is, and goes on."""
    kept = context.storage_state()
    other = browser.new_context(storage_state=kept, timezone_id="Pacific/Kiritimati")
    page = other.new_page()
    page.add_init_script("const real = Date.now; Date.now = () => real() + 86_400_000")
    page.goto(f"{interface.base}/runs/{failed_run}")
    submitted = page.locator(".facts-line time")
    expect(submitted).to_have_text(re.compile("sec|min|now"), timeout=PATIENT)
    expect(submitted).to_have_attribute("title", re.compile(r"GMT\+14$"))
    page.locator(".graph .box", has_text="fine").click()
    drawer = page.get_by_role("complementary", name="Task fine")
    expect(drawer).to_be_visible()
    page.go_back()
    expect(drawer).to_have_count(0)
    page.go_forward()
    expect(drawer).to_be_visible()
    other.clear_cookies()
    expect(page.get_by_role("heading", name="Who are you?")).to_be_visible(timeout=PATIENT)
    other.add_cookies(kept["cookies"])
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(drawer).to_be_visible(timeout=PATIENT)
    other.close()
