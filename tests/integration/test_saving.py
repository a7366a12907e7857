"""Two people in two browsers edit the files of one folder: nobody's change is lost."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
from playwright.sync_api import expect

from pydag_dist.web.entry.access import cookie_name
from tests.support.browser import chromium
from tests.support.interface import RULES, Interface, found_by_axe
from tests.support.service import served
from tests.support.web import OURS, Web

pytestmark = pytest.mark.big


def task(name, *args, after=()):
    params = {"callable": "etl:report", "args": list(args)}
    return {
        "task_id": name,
        "operator": "python.call",
        "params": params,
        **({"dependencies": list(after)} if after else {}),
    }


DAG = {
    "dag_id": "shared",
    "params": {"n": 1},
    "tasks": [task("one", "x"), task("two", "y", after=["one"])],
}
TEXT = json.dumps(DAG, indent=2) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of DAG files in a git work tree."""
    made = tmp_path_factory.mktemp("dags")
    subprocess.run(["git", "init", "-q", "-b", "main", made], check=True)
    return made


@pytest.fixture(scope="module")
def people(folder, redis_server):
    """Two people in a browser each."""
    with pytest.MonkeyPatch.context() as patched, chromium() as browser:
        for name in list(os.environ):
            if name.startswith("GIT_"):
                patched.delenv(name)
        patched.setenv("PYDAG_HOME", str(folder.parent / "home"))
        patched.setenv("PYDAG_REDIS_URL", redis_server.url)
        web = Web(files=folder)
        with served(web) as address:
            cookie = cookie_name(address.removeprefix("http://"))
            context = [browser.new_context(viewport={"width": 1400, "height": 900}) for _ in "ab"]
            for each in context:
                each.add_cookies([{"name": cookie, "value": web.cookie, "url": address}])
            yield [Interface(each.new_page(), address) for each in context]


@pytest.fixture
def opened(people, folder, request):
    """Opens a file of the test's own: for the first of them, then for the other one."""
    file = folder / f"{request.node.name}.json"
    file.write_text(TEXT)
    others = iter(people)

    def another():
        interface = next(others)
        interface.open(f"/edit/{file.name}")
        expect(interface.page.locator(".graph .box")).to_have_count(2)
        return interface.page

    another.file = file
    yield another
    for interface in people:
        # The browser tells answers that say no, which are awaited here.
        assert [each for each in interface.complaints if "status of 4" not in each] == []


def text_in(page):
    return page.get_by_role("textbox", name="Text of ")


def change(page, name, value):
    """Give the only argument of a task another value."""
    page.locator(".graph .box", has_text=name).click()
    field = page.locator(".form").get_by_role("textbox", name="args 1")
    expect(page.locator(".form").get_by_role("textbox", name="task_id")).to_have_value(name)
    field.fill(value)
    field.press("Tab")
    expect(text_in(page)).to_contain_text(value)


def save(page):
    page.keyboard.press("Control+s")


def accessible(page):
    for scheme in RULES:
        assert [each["id"] for each in found_by_axe(page, scheme, "dialog")] == []


def test_changes_of_different_tasks_merge_without_a_word(opened):
    ana, bob = opened(), opened()
    change(ana, "one", "of-ana")
    change(bob, "two", "of-bob")
    save(ana)
    expect(ana.locator(".saving-bar")).to_contain_text("Saved.")
    save(bob)
    expect(bob.locator(".saving-bar")).to_contain_text("with what others have changed")
    expect(bob.locator("dialog")).to_have_count(0)
    text = TEXT.replace('"x"', '"of-ana"').replace('"y"', '"of-bob"')
    assert opened.file.read_text() == text
    expect(text_in(bob)).to_contain_text("of-ana")
    change(ana, "one", "once-more")
    save(ana)
    expect(text_in(ana)).to_contain_text("of-bob")
    assert opened.file.read_text() == text.replace("of-ana", "once-more")


def test_the_same_field_asks(opened):
    ana, bob = opened(), opened()
    change(ana, "one", "of-ana")
    change(ana, "two", "ana-too")
    change(bob, "one", "of-bob")
    save(ana)
    expect(ana.locator(".saving-bar")).to_contain_text("Saved.")
    before = opened.file.read_text()
    save(bob)
    dialog = bob.get_by_role("dialog", name="Somebody else has saved meanwhile")
    choice = dialog.get_by_role("group", name="task one params.args")
    expect(choice).to_contain_text("of-ana")
    expect(dialog.get_by_role("button", name="Save: choose 1 more")).to_be_disabled()
    accessible(bob)
    assert opened.file.read_text() == before
    choice.get_by_role("radio", name="Mine").check()
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog).to_have_count(0)
    assert opened.file.read_text() == before.replace("of-ana", "of-bob")
    expect(text_in(bob)).to_contain_text("ana-too")
    bob.get_by_role("button", name="Undo").click()
    expect(text_in(bob)).not_to_contain_text("ana-too")


def test_what_is_saved_is_committed_and_can_be_gone_back_to(opened):
    page = opened()
    change(page, "one", "first")
    for message, value in (("The first", "second"), ("The second", "third")):
        page.get_by_role("button", name="Save…").click()
        dialog = page.get_by_role("dialog", name="Save test_")
        expect(dialog.get_by_role("list", name="What differs")).to_contain_text("task one: params")
        expect(dialog.locator("ins")).to_have_count(1)
        accessible(page)
        dialog.get_by_role("textbox").fill(message)
        dialog.get_by_role("button", name="Save and commit").click()
        expect(page.locator(".saving-bar")).to_contain_text("Saved and committed.")
        change(page, "one", value)
    page.get_by_role("button", name="History").click()
    dialog = page.get_by_role("dialog", name="History of ")
    expect(dialog.locator("table").first).to_contain_text("The second")
    dialog.get_by_role("row", name="The first").get_by_role("button").click()
    expect(dialog.locator("del")).to_contain_text("first")
    accessible(page)
    dialog.get_by_role("button", name="Go back to it").click()
    expect(text_in(page)).to_contain_text("first")
    expect(page.locator(".saving-bar")).to_contain_text("not saved")
    assert "second" in opened.file.read_text()


def test_what_has_problems_is_saved_only_when_asked(opened):
    page = opened()
    text_in(page).click()
    page.keyboard.press("Control+End")
    page.keyboard.type("x")
    save(page)
    dialog = page.get_by_role("dialog", name="Save test_")
    expect(dialog).to_be_visible()
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog).to_have_count(0)
    assert opened.file.read_text() == f"{TEXT}x"


def test_what_changed_since_it_ran_is_told_and_drawn(opened):
    ran = {**DAG, "tasks": [*DAG["tasks"], task("left", after=["two"])]}
    page = opened()
    api = page.url.partition("/edit/")[0] + "/api/v1"
    for run_id, dag in (("run-1", DAG), ("run-2", ran)):
        given = {"headers": OURS, "data": {"dag": dag}}
        assert page.request.put(f"{api}/runs/{run_id}", **given).status == 201
    change(page, "one", "new")
    page.get_by_role("button", name="Changed since it ran").click()
    dialog = page.get_by_role("dialog", name="What has changed since it ran")
    words = dialog.get_by_role("list", name="What differs")
    expect(words.get_by_role("listitem")).to_have_text(
        [
            re.compile(r"removed task left$"),
            re.compile(r"changed task one: params$"),
            re.compile(r"removed edge two → left$"),
        ]
    )
    expect(dialog.locator(".box", has_text="left")).to_contain_text("removed")
    expect(dialog.locator(".box", has_text="one")).to_contain_text("changed: params")
    accessible(page)
    dialog.get_by_role("combobox").select_option("run_id run-1")
    expect(words.get_by_role("listitem")).to_have_text([re.compile("changed task one: params")])


def test_it_is_run_with_params_and_watched(opened):
    page = opened()
    change(page, "one", "new")
    page.get_by_role("button", name="Run…").click()
    dialog = page.get_by_role("dialog", name="Run what is edited")
    accessible(page)
    dialog.get_by_role("spinbutton", name="n").fill("7")
    dialog.get_by_label("Logical date").fill("2026-01-31T06:00")
    dialog.get_by_role("button", name="Run", exact=True).click()
    watch = page.get_by_role("region", name="Run")
    run_id = watch.get_by_role("link").text_content()
    url = page.url.partition("/edit/")[0] + f"/api/v1/runs/{run_id}"
    run = page.request.get(url).json()
    assert (run["params"], run["logical_date"]) == ({"n": 7}, "2026-01-31T06:00:00+00:00")
    ran = page.request.get(f"{url}/dag").json()
    assert ran["tasks"][0]["params"]["args"] == ["new"]
    watch.get_by_role("button", name="Cancel", exact=True).click()
    expect(watch).to_contain_text("cancelled")
    page.locator(".graph .box", has_text="two").click()
    page.get_by_role("button", name="Run…").click()
    dialog.get_by_role("radio", name="From two on").check()
    expect(dialog).to_contain_text("2 tasks will run, 0 keep what they have made")
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(watch).to_contain_text("queued")
    assert watch.get_by_role("link").text_content() == run_id
    page.get_by_role("button", name="Run…").click()
    dialog.get_by_role("radio", name="in a new run: all others count as succeeded").check()
    dialog.get_by_role("spinbutton", name="n").fill("8")
    dialog.get_by_text("The same in a terminal").click()
    expect(dialog).to_contain_text("--param n=8 --from two")
    expect(dialog).to_contain_text('"params":{"n":8},"from_task":"two","dag":')
    accessible(page)
    with page.expect_request("**/api/v1/runs") as sent:
        dialog.get_by_role("button", name="Run", exact=True).click()
    expect(watch.get_by_role("link")).not_to_have_text(run_id)
    begun = sent.value.post_data_json
    assert (begun["from_task"], begun["params"]) == ("two", {"n": 8})
    watch.get_by_role("button", name="Stop watching").click()
    expect(watch).to_have_count(0)
