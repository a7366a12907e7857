"""The editor in a real browser, on a real `pydag up`: by mouse, by keyboard, by forms, by text."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from playwright.sync_api import expect

from tests.support.interface import Interface

pytestmark = pytest.mark.big

PATIENT = 60_000  # ms

TABLE = "CREATE OR REPLACE TABLE datasettest"
SQL = {
    "stage_1": f"{TABLE}.stage_1 AS SELECT 1 AS shop",
    "stage_2": f"{TABLE}.stage_2 AS SELECT 2 AS shop",
    "rates": f"{TABLE}.rates AS SELECT 3 AS rate",
    "shops": f"{TABLE}.shops AS SELECT 1 AS shop",
    "join": f"{TABLE}.sold AS SELECT * FROM datasettest.stage_1",
    "by_day": "SELECT COUNT(*) AS n FROM datasettest.sold WHERE '{{ ds }}' > '2026'",
    "by_shop": "SELECT shop, COUNT(*) AS n FROM datasettest.sold GROUP BY shop",
}
UPSTREAM = {
    "join": ["stage_1", "stage_2", "rates", "shops"],
    "by_day": ["join"],
    "by_shop": ["join"],
    "tell": ["by_shop", "by_day"],
}


def task_text(name):
    """A task as a person writes it."""
    if name == "tell":
        params = '{"callable": "etl:report", "args": ["sold"]}'
        what = f'"operator": "python.call",\n      "params": {params}'
    else:
        sql = json.dumps({"sql": SQL[name]})
        what = f'"operator": "bigquery.query",\n      "params": {sql}'
    upstream = f',\n      "dependencies": {json.dumps(UPSTREAM[name])}' if name in UPSTREAM else ""
    return f'    {{\n      "task_id": "{name}",\n      {what}{upstream}\n    }}'


def file_text(dag):
    tasks = ",\n".join(map(task_text, [*SQL, "tell"]))
    return f'{{\n  "dag_id": "{dag}",\n  "tasks": [\n{tasks}\n  ]\n}}\n'


@pytest.fixture(scope="module")
def page(browser, up, terminal):
    """A page that was let in: each test goes to where it works. A new one is a new process."""
    [address] = re.findall(r"http://\S+\?key=\S+", up.run("web", "--link", **terminal).stdout)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible(timeout=PATIENT)
    yield page
    context.close()


@pytest.fixture(scope="module")
def folder(up):
    folder = up.home.parent / "edited"
    git(folder, "init", "-q")
    return folder


def git(folder, *arguments):
    command = ["git", "-C", folder, *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def committed(folder, file):
    """The subject of the newest commit of a file, and the file as that has it."""
    return git(folder, "log", "-n1", "--format=%s", "--", file), git(
        folder, "show", f"HEAD:./{file}"
    )


class Editor(Interface):
    """A page of the editor."""

    def edit(self, path):
        self.open(f"/edit/{path}")
        expect(self.graph).to_be_visible(timeout=PATIENT)
        expect(self.problems).not_to_contain_text("being checked", timeout=PATIENT)

    @property
    def graph(self):
        return self.page.locator(".graph")

    @property
    def problems(self):
        return self.page.get_by_role("region", name="Problems")

    @property
    def said(self):
        """What is read aloud."""
        return self.page.locator(".graph-view > [aria-live=polite]")

    def box(self, name):
        return self.page.locator(".graph .box").filter(has=self.page.get_by_text(name, exact=True))

    def text(self):
        content = self.page.locator(".code-of-file .cm-content")
        return content.inner_text()

    def drag(self, begin, end):
        """From the middle of one thing to that of another one."""
        mouse = self.page.mouse
        mouse.move(*self.middle(begin))
        mouse.down()
        mouse.move(*self.middle(end), steps=4)
        mouse.up()

    def middle(self, thing):
        """Of a thing that may be drawn anew just now, once it stays where it is."""
        before = None
        while not (place := thing.bounding_box()) or place != before:
            before = place
            self.page.evaluate("new Promise(then => requestAnimationFrame(() => setTimeout(then)))")
        return place["x"] + place["width"] / 2, place["y"] + place["height"] / 2

    def runs_to_its_end(self):
        """The run that is watched; its states are drawn on the graph."""
        run = self.page.get_by_role("region", name="Run")
        expect(run).to_contain_text("success", timeout=PATIENT)
        for name in (*SQL, "tell"):
            expect(self.box(name)).to_have_attribute("data-state", "success")

    def save(self):
        self.page.keyboard.press("Control+s")
        expect(self.page.get_by_text("Saved.")).to_be_visible(timeout=PATIENT)


@pytest.fixture
def editor(page, up):
    page.set_viewport_size({"width": 1280, "height": 800})
    editor = Editor(page, up.state["addresses"]["web"])
    yield editor
    assert editor.ended() == []


def test_a_pipeline_is_built_from_nothing_by_mouse(editor, folder):
    page = editor.page
    editor.open("/edit/")
    page.get_by_label("New file").fill("by_mouse")
    page.get_by_role("button", name="New").click()
    expect(editor.graph).to_be_visible(timeout=PATIENT)
    field = page.get_by_label("task_id")
    for name in [*SQL, "tell"]:
        operator = "bigquery.query" if name in SQL else "python.call"
        # To the upper end of the graph, where no box is.
        place = editor.graph.bounding_box()
        item = page.get_by_role("button", name=operator, exact=True)
        item.scroll_into_view_if_needed()
        first = item.bounding_box()
        page.mouse.move(first["x"] + 9, first["y"] + 9)
        page.mouse.down()
        page.mouse.move(place["x"] + place["width"] / 2, place["y"] + 4, steps=4)
        page.mouse.up()
        expect(field).to_have_value(operator.split(".")[1])
        field.fill(name)
        # What the server says meanwhile does not take away what is typed.
        expect(editor.problems).to_contain_text(f"{operator.split('.')[1]}, params.")
        field.press("Enter")
        expect(editor.box(name)).to_be_visible()
        kind = "sql" if name in SQL else "callable"
        page.get_by_role("textbox", name=kind, exact=True).fill(SQL.get(name, "etl:report"))
    page.get_by_label("params: add one").select_option("args")
    page.get_by_role("group", name="args").get_by_role("button", name="Add").click()
    page.get_by_label("args 1: JSON, or a text").fill("sold")
    for name, upstream in UPSTREAM.items():
        for each in upstream:
            editor.drag(editor.box(each).locator(".port"), editor.box(name))
            dependencies = page.get_by_role("list", name="dependencies")
            expect(dependencies.get_by_role("button", name=each, exact=True)).to_be_visible()
    expect(editor.problems).to_contain_text("No problems", timeout=PATIENT)
    editor.picture("editor")
    page.get_by_role("button", name="Save…").click()
    page.get_by_label("Message of the commit").fill("Count what is sold")
    page.get_by_role("button", name="Save and commit").click()
    expect(page.get_by_text("Saved and committed.")).to_be_visible(timeout=PATIENT)
    assert (folder / "by_mouse.json").read_text() == file_text("by_mouse")
    assert committed(folder, "by_mouse.json") == ("Count what is sold\n", file_text("by_mouse"))
    page.get_by_role("button", name="Run…").click()
    page.get_by_role("button", name="Run", exact=True).click()
    editor.runs_to_its_end()
    page.get_by_role("button", name="Stop watching").click()

    # An edge is taken away as it was drawn; one undo gives back the file to the byte.
    editor.drag(editor.box("join").locator(".port"), editor.box("by_day"))
    expect(page.get_by_text("not saved")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("not saved")).to_have_count(0)


class Keyboard:
    """Builds on the graph of an editor by keys alone."""

    def __init__(self, editor):
        self.editor, self.page, self.keys = editor, editor.page, editor.page.keyboard

    def press(self, *names):
        for name in names:
            self.keys.press(name)

    def reach(self, key, is_there, most=40):
        """Press a key until what has the focus is what is wanted."""
        for _ in range(most):
            self.press(key)
            if self.page.evaluate(f"({is_there})(document.activeElement)"):
                return
        pytest.fail(f"{most} times {key}, and nothing for which {is_there}")

    def choose_button(self, name, key="Shift+Tab"):
        self.reach(key, f"it => it.textContent === {json.dumps(name)}")
        self.press("Enter")

    def add(self, name, *, chained=False):
        page, keys, graph = self.page, self.keys, self.editor.graph
        self.press("n")
        expect(page.get_by_label("Search for an operator")).to_be_focused()
        keys.type("bigquery.query" if name in SQL else "python.call")
        self.press("Shift+Enter" if chained else "Enter")
        expect(graph).to_be_focused()
        self.press("F2")
        expect(page.get_by_label("task_id")).to_be_focused()
        keys.type(name)
        self.press("Enter")
        expect(self.editor.box(name)).to_have_class(re.compile("selected"))
        expect(graph).to_be_focused()
        self.press("Enter")
        expect(page.get_by_label("task_id")).to_be_focused()
        self.press("Tab", "Tab")
        before, named, rest = SQL.get(name, "etl:report").partition("s }}")
        if named:  # what stands in braces is completed
            keys.type(before)
            page.get_by_role("option", name="ds", exact=True).wait_for()
            keys.type(named + rest)
        else:  # at once: each key is looked at by the server
            keys.insert_text(before)
        if name == "tell":
            self.press("Tab")
            keys.type("args")  # in the choice of other params
            self.press("Shift+Tab", "Enter")  # adds an item to its list
            item = page.get_by_label("args 1: JSON, or a text")
            expect(item).to_be_visible()
            self.reach("Shift+Tab", "it => it.ariaLabel?.startsWith('args 1')")
            keys.type("sold")
        self.press("Escape")
        try:
            expect(graph).to_be_focused(timeout=1000)
        except AssertionError:  # it has closed a completion only
            self.press("Escape")
        expect(graph).to_be_focused()

    def walk(self, key, name):
        self.press(key)
        expect(self.editor.said).to_contain_text(f"{name}: ")


def test_the_same_is_built_by_the_keyboard_alone(editor, folder):
    page, keys, hand = editor.page, editor.page.keyboard, Keyboard(editor)
    editor.edit("by_keyboard.json")
    hand.reach("Tab", "it => it.classList.contains('graph')")
    for name in ("stage_1", "stage_2", "rates", "shops"):
        hand.add(name)
    hand.press("Control+a")
    hand.add("join", chained=True)
    hand.add("by_day", chained=True)
    hand.walk("ArrowLeft", "join")
    hand.add("by_shop", chained=True)
    hand.add("tell", chained=True)
    hand.walk("ArrowLeft", "by_shop")
    hand.walk("ArrowUp", "by_day")
    hand.press("d")
    expect(page.locator(".hint.drawn")).to_contain_text("From by_day")
    hand.walk("ArrowDown", "by_shop")
    hand.walk("ArrowRight", "tell")
    hand.press("Enter")
    expect(editor.said).to_have_text("tell waits for by_day")
    expect(editor.problems).to_contain_text("No problems", timeout=PATIENT)
    hand.choose_button("Save…")
    expect(page.get_by_label("Message of the commit")).to_be_focused()
    keys.type("Count it by keys")
    hand.press("Tab", "Enter")
    expect(page.get_by_text("Saved and committed.")).to_be_visible(timeout=PATIENT)
    wanted = file_text("by_keyboard")
    assert (folder / "by_keyboard.json").read_text() == wanted
    assert committed(folder, "by_keyboard.json") == ("Count it by keys\n", wanted)
    hand.choose_button("Run…", key="Tab")
    expect(page.get_by_role("dialog")).to_be_visible()
    hand.choose_button("Run", key="Tab")
    editor.runs_to_its_end()


LAYERS = {
    "dag_id": "layers",
    "tasks": [
        {"task_id": "first", "operator": "python.call", "params": {"callable": "etl:report"}},
        {
            "task_id": "second",
            "operator": "python.call",
            "params": {"callable": "etl:report", "args": ["{{ tasks.first.result.table }}"]},
            "dependencies": ["first"],
        },
    ],
}


def test_text_graph_and_form_are_one(editor, folder):
    page, keys = editor.page, editor.page.keyboard
    (folder / "layers.json").write_text(json.dumps(LAYERS, indent=4))
    editor.edit("layers.json")
    text = page.get_by_role("textbox", name="Text of layers.json")

    # What the cursor is in is chosen, and what is chosen is shown in the text.
    text.get_by_text("second").click()
    expect(editor.box("second")).to_have_class(re.compile("selected"))
    expect(page.get_by_label("task_id")).to_have_value("second")
    editor.box("first").click()
    expect(page.locator(".cm-chosen").first).to_be_visible()
    expect(page.get_by_label("task_id")).to_have_value("first")

    # A rename follows in dependencies and templates.
    page.get_by_label("task_id").fill("begin")
    page.get_by_label("task_id").press("Enter")
    expect(text).to_contain_text("{{ tasks.begin.result.table }}")
    expect(text).to_contain_text('"task_id": "begin"')

    # What is typed is drawn, and what is wrong is said, on the box and with its place.
    text.get_by_text('"dependencies"').click()
    keys.press("Home")
    keys.type('"retries": -1, ')
    expect(editor.box("second")).to_contain_text("1 problem", timeout=PATIENT)
    expect(editor.problems).to_contain_text("second, retries")
    editor.problems.get_by_role("button", name="second, retries").click()
    expect(text).to_be_focused()

    # Each undo takes one step back, whoever made it.
    while page.get_by_text("not saved").count():
        before = editor.text()
        page.get_by_role("button", name="Undo").click()
        expect(text).not_to_have_text(before)
    editor.box("first").click()
    page.get_by_label("More fields: add one").select_option("retries")
    page.get_by_label("retries", exact=True).fill("3")
    page.get_by_label("retries", exact=True).press("Enter")
    page.get_by_label("More fields: add one").select_option("trigger_rule")
    page.get_by_label("trigger_rule", exact=True).select_option("all_done")
    expect(text).to_contain_text('"trigger_rule": "all_done"')
    page.get_by_label("params: add one").select_option("kwargs")
    page.get_by_label("kwargs: new name").fill("day")
    page.get_by_label("kwargs: new name").press("Enter")
    page.get_by_label("day: JSON, or a text").fill("{{ ds }}")
    page.get_by_label("day: JSON, or a text").press("Enter")
    editor.save()
    changed = json.loads(json.dumps(LAYERS))
    changed["tasks"][0] |= {"retries": 3, "trigger_rule": "all_done"}
    changed["tasks"][0]["params"]["kwargs"] = {"day": "{{ ds }}"}
    assert json.loads((folder / "layers.json").read_text()) == changed

    # The DAG's own fields: when it would be due.
    page.keyboard.press("Escape")
    editor.graph.click(position={"x": 5, "y": 5})
    page.get_by_label("Fields of the DAG: add one").select_option("schedule_interval")
    page.get_by_role("textbox", name="schedule_interval", exact=True).fill("0 3 * * *")
    expect(page.get_by_text("Due, once it is published:")).to_be_visible(timeout=PATIENT)


def test_an_edge_that_is_clicked_goes_by_a_key_or_a_button(editor, folder):
    page = editor.page
    (folder / "edges.json").write_text(json.dumps(LAYERS, indent=2))
    editor.edit("edges.json")
    (left, y), (right, _) = (editor.middle(editor.box(name)) for name in ("first", "second"))
    for by_key in (True, False):
        page.mouse.click((left + right) / 2, y)
        expect(editor.said).to_have_text("The edge from first to second: Delete removes it.")
        if by_key:
            page.keyboard.press("Delete")
        else:
            page.get_by_role("button", name="Remove", exact=True).click()
        expect(page.locator(".code-of-file")).to_contain_text('"dependencies": []')
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("not saved")).to_have_count(0)
    page.mouse.click((left + right) / 2, y)
    page.mouse.click(left, y)
    expect(page.get_by_role("button", name="Remove", exact=True)).to_have_count(0)


def test_what_is_typed_while_an_edit_is_on_its_way_stays(editor, folder):
    page, keys = editor.page, editor.page.keyboard
    (folder / "typed.json").write_text(json.dumps(LAYERS))
    editor.edit("typed.json")
    held = []
    page.route("**/api/v1/edit", lambda route: held.append(route))  # noqa: PLW0108
    editor.box("first").click()
    page.get_by_role("textbox", name="callable", exact=True).fill("etl:re")
    page.wait_for_event("request", lambda request: request.url.endswith("/edit"))
    keys.type("po")
    held.pop().continue_()
    expect(page.locator(".code-of-file")).to_contain_text('"etl:re"')
    page.wait_for_event("request", lambda request: request.url.endswith("/edit"))
    page.get_by_label("task_id").click()
    keys.press("End")
    keys.type("_one")
    held.pop().continue_()
    expect(page.locator(".code-of-file")).to_contain_text('"etl:repo"')
    expect(page.get_by_label("task_id")).to_have_value("first_one")
    page.unroute("**/api/v1/edit")
    keys.press("Enter")
    expect(editor.box("first_one")).to_be_visible()


def test_what_is_typed_stays_while_the_page_is_left_or_the_server_is_away(editor, folder):
    page = editor.page
    (folder / "away.json").write_text(json.dumps(LAYERS))
    editor.edit("away.json")
    editor.box("first").click()
    field = page.get_by_role("textbox", name="callable", exact=True)
    page.route("**/api/v1/edit", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        field.fill("etl:away")
    expect(editor.problems).to_contain_text("Is `pydag web` still running?")
    page.unroute("**/api/v1/edit")
    editor.save()
    assert (folder / "away.json").read_text().count("etl:away") == 1
    field.fill("etl:quick")
    page.get_by_role("link", name="Files").first.click()  # before it counts as typed
    page.get_by_role("link", name="away.json").click()
    expect(page.locator(".code-of-file")).to_contain_text("etl:quick", timeout=PATIENT)
    expect(page.get_by_text("not saved")).to_be_visible()
    editor.complaints = [each for each in editor.complaints if "net::ERR_FAILED" not in each]


def test_a_viewer_looks_and_changes_nothing(editor, folder, browser, up, terminal):
    (folder / "viewed.json").write_text(json.dumps(LAYERS))
    token = up.run("tokens", "--add", "looker", **terminal).stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    context = browser.new_context(extra_http_headers=headers)
    viewer = Editor(context.new_page(), editor.base)
    page = viewer.page
    viewer.open("/edit/viewed.json")
    viewer.box("second").click()
    expect(page.get_by_label("task_id")).to_have_value("second", timeout=PATIENT)
    expect(page.get_by_label("task_id")).to_be_disabled()
    expect(page.get_by_role("button", name="bigquery.query", exact=True)).to_be_disabled()
    field = page.get_by_role("textbox", name="callable", exact=True)
    expect(field).to_have_attribute("contenteditable", "false")
    viewer.graph.focus()
    page.keyboard.press("Delete")
    expect(page.get_by_text("you need the role editor.").last).to_be_visible()
    expect(viewer.box("second")).to_be_visible()
    context.close()
    assert viewer.complaints == []


def test_tasks_go_from_file_to_file_as_text(editor, folder):
    page, keys = editor.page, editor.page.keyboard
    (folder / "from.json").write_text(json.dumps(LAYERS))
    editor.edit("from.json")
    editor.box("first").click()
    editor.box("second").click(modifiers=["Shift"])
    keys.press("Control+c")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied == LAYERS["tasks"]
    keys.press("Control+v")
    expect(editor.box("second_2")).to_be_visible()
    keys.press("Delete")
    expect(editor.box("second_2")).to_have_count(0)
    editor.edit("to.json")
    editor.graph.focus()
    keys.press("Control+v")
    expect(editor.box("second")).to_be_visible()
    editor.save()
    assert json.loads((folder / "to.json").read_text())["tasks"] == LAYERS["tasks"]


def test_a_query_says_what_it_costs_once_typing_stops(editor, folder):
    page = editor.page
    editor.edit("costs.json")
    item = page.get_by_role("button", name="bigquery.query", exact=True)
    editor.drag(item, editor.graph)
    page.get_by_role("textbox", name="sql", exact=True).fill("SELECT 1 AS n")
    expect(page.get_by_text("It will read")).to_be_visible(timeout=PATIENT)


def test_the_editor_has_nothing_that_axe_finds(editor, folder):
    page = editor.page
    (folder / "layers_2.json").write_text(json.dumps(LAYERS, indent=2))
    found = []
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        editor.open("/edit/")
        expect(page.get_by_role("link", name="layers_2.json")).to_be_visible(timeout=PATIENT)
        found += editor.axe()
        editor.open("/edit/layers_2.json")
        if width > 900:
            editor.box("second").click()
            expect(page.get_by_label("task_id")).to_have_value("second")
        for place in ("graph",) if width > 900 else ("graph", "text", "form", "palette"):
            if width < 900:
                page.get_by_role("button", name=place, exact=True).click()
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{place} is {wide} wide"
            found += editor.axe(f"editor-{{scheme}}-{width}-{place}")
    assert found == []
