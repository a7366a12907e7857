"""The tutorial, walked through in a real browser: each step of the page is done as it says."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from playwright.sync_api import expect

from tests.acceptance.conftest import PROJECT
from tests.support.documents import blocks
from tests.support.interface import Interface

pytestmark = pytest.mark.big

PAGE = PROJECT / "docs" / "tutorial.md"
# What a step may say, each with what is in bold or typed, and what the reader does then.
STEPS = {
    r"[Dd]rag \*\*(.+?)\*\* to the graph": "drag",
    r"[Nn]ame it `(.+?)`": "name",
    r"[Ww]rite `(.+?)` into \*\*(.+?)\*\*": "write",
    r"[Tt]ake \*\*(.+?)\*\* from \*\*(.+?)\*\*": "take",
    r"[Dd]raw from \*\*(.+?)\*\* to \*\*(.+?)\*\*": "draw",
    r"[Cc]hoose the option \*\*(.+?)\*\*": "option",
    r"[Cc]hoose \*\*(.+?)\*\*": "choose",
    r"[Cc]lick \*\*(.+?)\*\*": "click",
    r"\*\*(\w+)\*\* says `(.+?)`": "box_says",
    r"[Tt]he page says `(.+?)`": "page_says",
}
KEYS = {"Ctrl+Z"}  # bold, and no step


def steps():
    """Of the page, in order: the way it is done, and with what."""
    text = re.sub(r"\s+", " ", re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.DOTALL))
    found = []
    for pattern, how in STEPS.items():
        found += [(each.start(), how, each.groups()) for each in re.finditer(pattern, text)]
    found = [each for each in found if not (each[1] == "choose" and "option" in each[2][0])]
    told = {bold for _, _, given in found for bold in given}
    assert set(re.findall(r"\*\*(.+?)\*\*", text)) - told == KEYS, "a step that nobody does"
    return [(how, given) for _, how, given in sorted(found)]


class Reader:
    """Does what the page says."""

    def __init__(self, page):
        self.page = page

    @property
    def _place(self):
        """The window that is open, or the page."""
        dialog = self.page.locator("dialog[open]")
        return dialog if dialog.count() else self.page

    def box(self, name):
        return self.page.locator(".of-graph .box").filter(
            has=self.page.get_by_text(name, exact=True)
        )

    def click(self, name):
        place = self._place
        is_window = place != self.page
        button = place.get_by_role("button", name=name, exact=True)
        link = place.get_by_role("link", name=name, exact=True)
        button.or_(link).first.click()
        if is_window:  # all buttons of windows that the page names close them
            expect(place).to_have_count(0)

    def drag(self, operator):
        item = self.page.get_by_role("button", name=operator, exact=True)
        item.scroll_into_view_if_needed()
        x, y, width, _ = self._place_of(self.page.locator(".of-graph .graph"))
        self._mouse(item, x + width / 2, y + 4)
        expect(self.page.get_by_label("task_id")).to_have_value(operator.partition(".")[2])

    def draw(self, upstream, task):
        x, y, width, height = self._place_of(self.box(task))
        self._mouse(self.box(upstream).locator(".port"), x + width / 2, y + height / 2)
        said = self.page.locator(".graph-view > [aria-live=polite]")
        expect(said).to_have_text(f"{task} waits for {upstream}")

    def _place_of(self, thing):
        """Of a thing that may be drawn anew just now."""
        while not (found := thing.bounding_box()):
            pass
        return found["x"], found["y"], found["width"], found["height"]

    def _mouse(self, thing, x, y):
        """From the middle of a thing to there."""
        left, top, width, height = self._place_of(thing)
        mouse = self.page.mouse
        mouse.move(left + width / 2, top + height / 2)
        mouse.down()
        mouse.move(x, y, steps=4)
        mouse.up()

    def name(self, task):
        field = self.page.get_by_label("task_id")
        field.fill(task)
        field.press("Enter")
        expect(self.box(task)).to_be_visible()

    def write(self, text, field):
        name = re.compile(f"^{re.escape(field)}")
        fields = [self._place.get_by_role(kind, name=name) for kind in ("textbox", "spinbutton")]
        found = fields[0].or_(fields[1]).first
        found.fill(text)
        found.press("Tab")

    def take(self, what, field):
        self.page.get_by_label(field, exact=True).select_option(what)

    def choose(self, task):
        self.box(task).click()

    def option(self, name):
        self._place.get_by_role("radio", name=name).check()

    def box_says(self, task, state):
        expect(self.box(task)).to_have_attribute("data-state", state)

    def page_says(self, text):
        expect(self.page.get_by_text(text).locator("visible=true").first).to_be_visible()


@pytest.fixture(scope="module")
def page(browser, up, terminal):
    subprocess.run(["git", "init", "-q", up.home.parent / "edited"], check=True)
    [address] = re.findall(r"http://\S+\?key=\S+", up.run("web", "--link", **terminal).stdout)
    with browser.new_page(viewport={"width": 1280, "height": 900}) as page:
        page.goto(address)  # whoever has no cookie yet hears a complaint
        interface = Interface(page, address)
        interface.open("/")
        yield page
        assert interface.complaints == []


def test_the_tutorial_does_what_it_says(page, up, terminal):
    reader = Reader(page)
    for how, given in steps():
        getattr(reader, how)(*given)
    run_id = page.get_by_role("region", name="Run").get_by_role("link").text_content()
    status = json.loads(up.run("status", run_id, "--wait", "--json", **terminal).stdout)
    tries = {name: task["try_number"] for name, task in status["tasks"].items()}
    assert (status["state"], tries) == ("success", {"orders": 1, "by_shop": 2, "all_shops": 2})
    [file] = [block for block in blocks(PAGE) if block.kind == "json FILE"]
    assert (up.home.parent / "edited" / file.file).read_text() == file.text
