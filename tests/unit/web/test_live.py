"""What a viewer is told adds up to what is there, whatever gets lost on the way."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

import pytest

from pydag_dist import Client, Dag
from pydag_dist.web.columns import columns
from pydag_dist.web.live.hub import Hub, follow
from pydag_dist.web.problems import Refusal
from tests.support.web import Web


@pytest.fixture
def hub(connection, tmp_path, monkeypatch):
    """A hub that looks only when it is told to."""
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    monkeypatch.setattr(Hub, "_start", lambda _: None)
    return Hub(Web(streams=2).site)


class Viewer:
    """A page: it puts together what it is told."""

    def __init__(self, topic, lines=None):
        self.topic, self.lines_topic = topic, lines
        self.last_id = ""
        self.tasks, self.run, self.lines = {}, {}, []
        self.kinds = Counter()

    def look(self):
        """Connect, take what there is, and lose the connection."""

        async def looking():
            stream = follow(self.topic, self.lines_topic, self.last_id)
            parts = [await anext(stream)]
            parts += [await anext(stream)] if self._is_news() else []
            await stream.aclose()
            return b"".join(parts)

        for told in asyncio.run(looking()).decode().split("\n\n"):
            self._take(dict(line.split(": ", 1) for line in told.splitlines()))

    def _is_news(self):
        place = self.topic.place_of(self.last_id.partition("/")[0])
        return place is None or self.topic.after(place) or self.lines_topic

    def _take(self, told):
        self.last_id = told.get("id", self.last_id)
        content, kind = json.loads(told.get("data", "{}")), told.get("event")
        self.kinds[kind] += 1
        if kind == "snapshot":
            self.tasks, self.run = {}, content["run"]
            self._add(content["tasks"])
        elif kind == "changes":
            self._add(content)
        elif kind == "run":
            self.run |= content
        elif kind == "log":
            known = [] if content["start"] else self.lines
            self.lines = known + [line["line"] for line in content["items"]]

    def _add(self, told):
        names = told["task"]
        for at, name in enumerate(names):
            self.tasks[name] = told["states"][told["state"][at]], told["started_at"][at]


def seen(site, run_id):
    told = columns(site.engine.watching.rows(run_id).rows)
    return {
        name: (told["states"][told["state"][at]], told["started_at"][at])
        for at, name in enumerate(told["task"])
    }


def wide(tasks):
    with Dag("wide") as dag:
        first = dag.task("first", "python.call", params={"callable": "m:f"})
        for number in range(tasks):
            first >> dag.task(f"t{number}", "python.call", params={"callable": "m:f"})
    return dag


@pytest.mark.parametrize("seed", range(5))
def test_random_drops_and_trims_end_in_what_is_there(hub, installation, monkeypatch, seed):
    monkeypatch.setattr("pydag_dist.web.live.topic.RING_FRAMES", 3)
    chance = random.Random(seed)
    run = Client().submit(wide(8))
    topic, _ = hub.run(run.id, "")
    viewers = [Viewer(topic) for _ in range(3)]
    installation.plan(run.id)
    while not topic.is_over:
        what = chance.random()
        if what < 0.4 and installation.connection.llen("pydag:q:python"):
            installation.end(installation.claim())
        elif what < 0.5:
            installation.connection.xtrim(f"pydag:run:{run.id}:events", maxlen=0)
        elif what < 0.6:
            topic._next = 0  # it is time to read all
        elif what < 0.8:
            hub.turn(1)
        else:
            chance.choice(viewers).look()
        if run.state == "success":
            topic._next = 0
            hub.turn(1)
    for viewer in viewers:
        viewer.look()
        assert viewer.tasks == seen(hub._site, run.id)
        assert viewer.run["state"] == run.state == "success"
        assert viewer.kinds["end"] == 1


def test_who_comes_back_gets_only_what_is_new(hub, installation):
    run = Client().submit(wide(2))
    installation.plan(run.id)
    topic, _ = hub.run(run.id, "")
    viewer = Viewer(topic)
    viewer.look()
    installation.end(installation.claim())
    hub.turn(1)
    viewer.look()
    assert viewer.kinds["snapshot"] == 1
    assert viewer.kinds["changes"] >= 1
    assert viewer.tasks["first"][0] == "success"
    other, _ = Hub(hub._site).run(run.id, "")  # of another process
    viewer.topic = other
    viewer.look()
    assert (viewer.kinds["reset"], viewer.kinds["snapshot"]) == (1, 2)


def test_a_redis_that_went_back_in_time_is_followed(hub, installation, connection):
    run = Client().submit(wide(1))
    installation.plan(run.id)
    topic, _ = hub.run(run.id, "")
    before = {key: connection.dump(key) for key in connection.keys("pydag:run:*")}
    installation.end(installation.claim())
    hub.turn(1)
    for key, kept in before.items():
        connection.restore(key, 0, kept, replace=True)
    topic._next = 0
    hub.turn(1)
    assert topic._rows["first"].state == "queued"
    assert topic.cursor == connection.xrevrange(f"pydag:run:{run.id}:events", count=1)[0][0]


def test_a_task_that_a_corrected_dag_has_not_goes(hub, installation):
    run = Client().submit(wide(1))
    installation.plan(run.id)
    topic, _ = hub.run(run.id, "")
    viewer = Viewer(topic)
    viewer.look()
    run.cancel()
    run.resume(dag=wide(0))
    installation.plan(run.id)
    topic._next = 0
    hub.turn(1)
    viewer.look()
    assert set(viewer.tasks) == {"first"}


def test_the_log_of_a_task_is_told_as_it_comes(hub, installation):
    run = Client().submit(wide(1))
    installation.plan(run.id)
    held = installation.claim()
    installation.log(held, "one")
    topic, lines = hub.run(run.id, "first")
    viewer = Viewer(topic, lines)
    viewer.look()
    installation.log(held, "two")
    lines._next = 0
    hub.turn(1)
    viewer.look()
    assert viewer.lines == ["one", "two"]
    assert viewer.kinds["snapshot"] == 1


def test_nobody_has_too_many_streams(hub):
    hub.admit("me")
    hub.admit("me")
    with pytest.raises(Refusal) as refused:
        hub.admit("me")
    assert (refused.value.status, refused.value.kind) == (503, "too-many-streams")
    hub.leave("me")
    hub.admit("me")


def test_the_newest_runs_are_told_when_they_change(hub, installation):
    topic = hub.newest("")
    run = Client().submit(wide(1))
    topic._next = 0
    hub.turn(1)
    told = json.loads(topic.after(0)[-1].partition(b"data: ")[2])
    assert [item["run_id"] for item in told["items"]] == [run.id]
    topic._next = 0
    hub.turn(1)
    assert len(topic.after(0)) == 1  # nothing has changed
