"""Pictures on the command line are the page's: its own code says where, which and how."""

from __future__ import annotations

import random
import re

import pytest

from pydag_dist import Dag
from pydag_dist.cli.pictures.families import boxes_of
from pydag_dist.cli.pictures.layout import lay_out
from pydag_dist.cli.pictures.looks import ALONG, COLOURS, LOOKS, length
from pydag_dist.cli.pictures.plan import critical_path, expected_end
from pydag_dist.engine import TaskSnapshot
from tests.support.documents import ROOT
from tests.support.page_code import run_page_code

NAMES = ("load", "clean.x", "join-2_", "_7", "report")
STATES = ("success", "success", "failed", "running", "none")


def of_examples():
    """The DAGs of the repository: names and edges."""
    for file in sorted((ROOT / "examples").rglob("*.json")):
        try:
            dag = Dag.load(file)
        except Exception:  # noqa: BLE001 - it is no DAG
            continue
        waits = dag.waits_for()
        yield dag.walk(), {name: list(waits[name]) for name in dag.walk()}


def any_dag(seed):
    """A random DAG: sparse or dense, wide or long, small or of families."""
    chance = random.Random(seed)
    count, near = chance.choice([0, 1, 2, 30, 90, 149, 151, 400]), chance.choice([1, 3, 12, 400])
    names = [f"{chance.choice(NAMES)}{at}" for at in range(count)]
    upstream = {}
    for at, name in enumerate(names):
        before = range(max(0, at - near), at)
        chosen = {chance.choice(before) for _ in range(chance.randrange(4)) if before}
        upstream[name] = [names[up] for up in sorted(chosen)]
    return names, upstream


def long_edges():
    """So many long edges that they are drawn straight."""
    names = [f"a_{at}x{'y' * (at % 97)}" for at in range(620)]
    upstream = {name: names[max(0, at - 1) : at] for at, name in enumerate(names)}
    upstream[names[-1]] = names[:-1]
    return names, upstream


def edges_of(names, upstream):
    place = {name: at for at, name in enumerate(names)}
    return [(place[up], at) for at, name in enumerate(names) for up in upstream[name]]


@pytest.fixture(scope="module")
def dags():
    return [*of_examples(), *map(any_dag, range(120)), long_edges()]


LAYOUT = """
const { layOut } = await load('graph/layout')
const { boxesOf } = await load('graph/families')
console.log(JSON.stringify(given.map(([tasks, edges]) => {
  const { boxes, edges: between, boxOf } = boxesOf({ tasks, edges }, new Set())
  const { x, y, bends, crossings } = layOut(boxes.length, between)
  return [boxes.map((box) => box.label), boxes.map((box) => box.tasks), between, [...boxOf],
          [...x], [...y], bends, crossings]
})))
"""


@pytest.mark.big
def test_boxes_stand_where_the_page_has_them(dags):
    given = [(names, edges_of(names, upstream)) for names, upstream in dags]
    told = run_page_code(LAYOUT, given)
    assert len(told) > 125
    for (names, edges), page in zip(given, told, strict=True):
        found = boxes_of(names, edges)
        layout = lay_out(len(found.labels), found.edges)
        assert [
            found.labels, found.tasks, list(map(list, found.edges)), found.box_of,
            layout.x, layout.y, [list(map(list, bend)) for bend in layout.bends], layout.crossings,
        ] == page  # fmt: skip


PLAN = """
const { criticalPath, expectedEnd } = await load('live/plan')
console.log(JSON.stringify(given.map(([graph, tasks, usual]) => {
  const known = new Map(Object.entries(tasks))
  const times = new Map(Object.entries(usual))
  return [[...criticalPath(graph, known)].sort(), expectedEnd(graph, known, times, 50)]
})))
"""


def test_the_critical_path_and_the_expected_end_are_the_page_s(dags):
    given, found = [], []
    for seed, (names, upstream) in enumerate(dags):
        chance = random.Random(seed)
        tasks = {}
        for name in names[: chance.randrange(len(names) + 1) if seed % 3 else None]:
            state = chance.choice(STATES)
            began = chance.randrange(60) if state != "none" else None
            ended = began + chance.randrange(9) if state in {"success", "failed"} else None
            tasks[name] = TaskSnapshot(state, 1, 0, 0, began, ended, "w")
        usual = {name: chance.randrange(1, 9) for name in names}
        if seed % 5 == 0 and usual:
            del usual[names[-1]]
        place = {name: at for at, name in enumerate(names)}
        graph = {"task": names, "upstream": [[place[up] for up in upstream[n]] for n in names]}
        given.append((graph, {name: vars(task) for name, task in tasks.items()}, usual))
        end = expected_end(upstream, tasks, usual, 50)
        found.append([sorted(critical_path(upstream, tasks)), end])
    assert run_page_code(PLAN, given) == found
    assert {end is None for _, end in found} == {True, False}


LOOK = """
const { STATES, byPlace, lookOf } = await load('states')
const { duration } = await load('text')
const looks = STATES.map((state) => [state, lookOf(state)])
console.log(JSON.stringify([looks, STATES.toSorted(byPlace), given.map(duration)]))
"""


def test_states_look_as_they_do_on_the_page():
    lengths = [0, 0.01, 0.0996, 1.26, 9.94, 9.96, 59.4, 59.6, 61, 3599.4, 3600, 3661, 90_000]
    looks, along, words = run_page_code(LOOK, lengths)
    assert words == [length(seconds) for seconds in lengths]
    assert [[state, vars_of(look)] for state, look in LOOKS.items()] == looks
    assert list(ALONG) == along
    sheet = (ROOT / "ui/src/style/colours.css").read_text()
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\);", sheet)
    page = {name: (light, dark) for name, light, dark in pairs}
    assert {name: page[name] for name in COLOURS} == COLOURS


def vars_of(look):
    return {"says": look.says, "fill": look.fill, "glyph": look.glyph}
