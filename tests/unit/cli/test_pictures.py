"""Pictures of DAGs and runs: whole, harmless, and never over another file; and `pydag watch`."""

from __future__ import annotations

import json
import re
import stat
from xml.etree import ElementTree as ET

import pytest

from pydag_dist import Client, Dag
from pydag_dist.cli.pictures.graph_picture import graph_picture
from pydag_dist.cli.pictures.looks import LOOKS
from pydag_dist.cli.pictures.timeline_picture import MOST_ROWS, Plan, timeline_picture
from pydag_dist.history import History, batch_of
from tests.unit.cli.test_commands import pydag_cli
from tests.unit.cli.test_live import live_screen, printed, run, screen, task

SVG = "{http://www.w3.org/2000/svg}"
NAMES = {"svg", "title", "style", "defs", "pattern", "path", "rect", "text", "g", "clipPath"}


def fan(count, name="load_{}"):
    with Dag("fan") as dag:
        first = dag.task("first", "python.call", params={"callable": "m:f"})
        for number in range(count):
            first >> dag.task(name.format(number), "python.call", params={"callable": "m:f"})
    return dag


def parsed(picture):
    """The picture, in which is nothing but drawing."""
    root = ET.fromstring(picture)
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= NAMES
    assert not [name for each in root.iter() for name in each.attrib if name.startswith("on")]
    assert "//" not in picture.replace('xmlns="http://www.w3.org/2000/svg"', "")
    return root


def texts(root):
    return ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]


def titles(root):
    return [each.text for each in root.iter(f"{SVG}title")]


def test_a_run_s_graph_has_each_task_with_its_state_in_words_and_glyphs():
    states = [*LOOKS, "unknown"]  # of a damaged record
    dag = fan(len(states))
    tasks = {f"load_{at}": task(state, 100.0, 101.0) for at, state in enumerate(states)}
    root = parsed(graph_picture(dag, run("running", {"first": task("success"), **tasks})))
    for at, state in enumerate(states):
        words = LOOKS.get(state, LOOKS["none"]).says
        assert f"load_{at}: {words}" in titles(root)
        assert words in texts(root)
    drawn = [path.get("d") for path in root.iter(f"{SVG}path")]
    assert all(drawn.count(look.glyph) >= 2 for look in LOOKS.values())  # in its box and above


def test_a_picture_of_5000_tasks_is_small_and_says_what_its_boxes_are():
    dag = fan(5_000)
    tasks = {name: task("success", 100.0, 101.0) for name in dag.tasks}
    tasks["load_7"] = task("failed", 100.0, 101.0)
    picture = graph_picture(dag, run("running", tasks))
    assert len(picture) < 10_000
    assert "load \N{MULTIPLICATION SIGN} 5,000: 1 failed, 4,999 success" in " ".join(
        titles(parsed(picture))
    )


def test_what_a_task_was_expanded_into_stands_for_it():
    with Dag("d") as dag:
        dag.task("each", "python.call", params={"callable": "m:f", "args": ["{{ item }}"]},
                 expand={"over": [1, 2]})  # fmt: skip
        dag.task("each.0x", "python.call", params={"callable": "m:f"})
    tasks = {"each": task("expanding"), "each.0": task("success"), "each.1": task("running")}
    told = titles(parsed(graph_picture(dag, run("running", tasks | {"each.0x": task("none")}))))
    assert {"each: 1 running, 1 success", "each.0x: waiting"} <= set(told)


def test_a_dag_of_any_size_has_a_picture():
    assert "1 task" in texts(parsed(graph_picture(fan(0))))
    long = fan(1, "x" * 190 + "{}")
    root = parsed(graph_picture(long))
    assert max(map(len, texts(root))) < 30
    assert f"{'x' * 190}0" in titles(root)


def test_texts_from_outside_are_shown_and_nothing_else():
    tasks = {"first": task("success", 100.0, 101.0)}
    evil = run("failed", tasks, run_id='r</title><script>"&\x1b\ud800\x00')
    for picture in (graph_picture(fan(1), evil), timeline_picture(evil, Plan(), 110.0)):
        picture.encode()
        assert any(
            "<script>" in text and r"\x1b\ud800\x00" in text for text in texts(parsed(picture))
        )


def bars(root, css):
    return [each for each in root.iter(f"{SVG}rect") if each.get("class") == css]


def test_a_timeline_has_waiting_tries_the_usual_time_and_the_critical_path():
    tasks = {
        "first": task("success", 102.0, 105.0, ready_at=100.0),
        "load_0": task("failed", 106.0, 110.0, ready_at=105.0, try_number=2),
        "load_1": task("success", 105.0, 106.0, ready_at=105.0),
        "load_2": task("none"),
    }
    upstream = {"first": [], "load_0": ["first"], "load_1": ["first"], "load_2": ["first"]}
    plan = Plan(
        upstream, {"first": 1.5}, {"load_0": [("failed", 105.0, 105.5), ("failed", None, 1)]}
    )
    root = parsed(timeline_picture(run("failed", tasks), plan, 999.0))
    lines = [t for t in titles(root) if ": " in t]
    assert lines[2:] == [
        "first: success, took 3.0 s, usually 1.5 s, on the critical path",
        "load_1: success, took 1.0 s",
        "load_0: failed, took 4.0 s, on the critical path, try 2",
    ]
    assert len([path for path in root.iter(f"{SVG}path") if path.get("class") == "mark"]) == 2
    waited = bars(root, "waited")[0]
    ran, usual = bars(root, "f-success")[1], bars(root, "usual")[0]  # the first one is above
    assert float(waited.get("x")) + float(waited.get("width")) == float(ran.get("x"))
    assert float(usual.get("width")) * 2 == pytest.approx(float(ran.get("width")), abs=0.2)
    heights = sorted(int(bar.get("height")) for bar in bars(root, "f-failed"))
    assert heights == [8, 14, 15, 15]  # a try before, the last one, and the state twice


def test_a_timeline_is_bounded_and_says_so_and_a_run_that_did_nothing_has_one():
    tasks = {f"t{at}": task("success", 100.0, 100.0) for at in range(MOST_ROWS + 7)}
    picture = timeline_picture(run("success", tasks, started_at=None, round_at=None), Plan(), 99.0)
    assert "7 tasks that began later are left out" in picture
    assert len(picture) < 4_000_000
    assert "no task has begun" in timeline_picture(run("queued", {}), Plan(), 1.0)


# The commands


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "fan.json"
    path.write_text(fan(2).to_json())
    return path


def test_a_picture_is_written_whole_and_over_pictures_only(file, tmp_path):
    out = tmp_path / "out.svg"
    assert pydag_cli("graph", str(file), "--svg", str(out)).exit_code == 0
    parsed(out.read_text())
    out.chmod(0o640)
    link = tmp_path / "link.svg"
    link.symlink_to(out)
    out.write_text("<svg>before</svg>")
    assert pydag_cli("graph", str(file), "--svg", str(link)).exit_code == 0
    assert link.is_symlink()
    assert "before" not in out.read_text()
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    refused = pydag_cli("graph", str(file), "--svg", str(file))
    assert refused.exit_code == 2
    assert "no SVG picture" in refused.stderr
    json.loads(file.read_text())
    nowhere = pydag_cli("graph", str(file), "--svg", str(tmp_path / "no" / "x.svg"))
    assert (nowhere.exit_code, "can't be written" in nowhere.stderr) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fan.json", "link.svg", "out.svg"]


def test_a_picture_goes_to_the_standard_output(file):
    parsed(pydag_cli("graph", str(file), "--svg", "-").stdout)


@pytest.fixture
def ended(installation, tmp_path, monkeypatch):
    """A run that has ended, and a history of this Redis that knows how long its tasks take."""
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    made = Client().submit(fan(2))
    installation.work_off(made.id)
    installation.connection.set("pydag:epoch", "e1")
    with History(f"sqlite:///{tmp_path / 'history.sqlite'}") as history:
        history.open()
        history.set_epoch("e1")
        head = {"dag_id": "fan", "submitted_at": "1", "started_at": "2", "total": "1"}
        entries = [
            (f"{at}-0", {"kind": "task", "run": "old", "task": name, "try": "1", "at": "9000000",
                         "state": "success", "ready_at": "0", "started_at": "2000000",
                         "ended_at": "9000000"})
            for at, name in enumerate(("first", "load_0", "load_1"), 1)
        ]  # fmt: skip
        entries.append(("9-0", {"kind": "run", "run": "old", "state": "success", "at": "9000000"}))
        history.write(batch_of(entries, {"old": head}, {"old": fan(2).to_json()}))
    return made.id


def test_a_run_is_drawn_as_redis_or_the_history_has_it(ended):
    for name in (ended, "old"):
        graph = parsed(pydag_cli("graph", name, "--svg", "-").stdout)
        assert "first: success" in titles(graph)
        timeline = titles(parsed(pydag_cli("timeline", name, "--svg", "-").stdout))
        assert any("usually 7.0 s" in line for line in timeline)
        assert "first" in pydag_cli("timeline", name).stdout
    assert "level 2" in pydag_cli("graph", ended).stdout
    assert pydag_cli("timeline", "zzz").exit_code == 2


def test_a_history_that_cannot_be_read_costs_only_the_usual_times(ended, tmp_path):
    (tmp_path / "history.sqlite").write_text("this is no database, but long enough to look at")
    found = pydag_cli("timeline", ended, "--svg", "-")
    assert found.exit_code == 0, found.stderr
    assert "usually" not in found.stdout


def test_watching_ends_as_the_run_does(ended, installation):
    assert (pydag_cli("watch", ended).exit_code, pydag_cli("watch", "old").exit_code) == (0, 0)
    made = Client().submit(fan(2))
    installation.plan(made.id)
    assert pydag_cli("watch", made.id, "--timeout", "0").exit_code == 3
    made.cancel()
    watched = pydag_cli("watch", made.id)
    assert (watched.exit_code, "cancelled" in watched.stdout) == (1, True)


def test_a_run_that_goes_on_says_when_it_may_end(ended, installation, monkeypatch):
    ends = []

    def watched(snapshots, *_, outlook):
        ends.append(outlook(next(iter(snapshots)))[1])
        raise KeyboardInterrupt

    monkeypatch.setattr("pydag_dist.cli.display.progress.watch", watched)
    made = Client().submit(fan(2))
    installation.plan(made.id)
    left = pydag_cli("watch", made.id)
    assert left.exit_code == 130
    assert f"pydag watch {made.id}" in left.stderr
    snapshot = made.snapshot()
    assert 10 < ends[0] - snapshot.started_at < 60  # two tasks of seven seconds, one after another
    shown = screen(snapshot, note="")
    assert "may end" not in shown[1]


def test_the_screen_says_when_the_run_may_end():
    going = run("running", {"a": task("running", 100.0, worker="w")})
    assert re.search(
        r"may end \d{4}-\d\d-\d\d \d\d:\d\d",
        printed(live_screen(going, (110.0, 1e9), 100, 24), 100)[1],
    )


def test_of_many_failures_the_newest_come_first():
    tasks = {f"t{at:02}": task("failed", 100.0, 101.0 + at) for at in range(60)}
    shown = screen(run("running", tasks))
    rows = [line.split()[0] for line in shown if line.startswith("t") and "broke" in line]
    assert rows[0] == "t59"
    assert rows == sorted(rows, reverse=True)
