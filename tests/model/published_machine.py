"""Drives published DAGs and their reference model side by side, and compares them each time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pydag_dist.coordinator.recording.restore import restore_dag
from pydag_dist.dag.fields import DagFields
from pydag_dist.engine import Engine, due
from pydag_dist.engine.publications import fire
from pydag_dist.engine.published import Move, PublishedDag, scheduled_run_id
from pydag_dist.engine.roles.steering import dag_hash
from pydag_dist.errors import EngineError
from pydag_dist.history import batch_of
from pydag_dist.history.published import PastDag, past_dags_of
from tests.model.published import RefDag, RefSchedule
from tests.support.engine_bench import with_own_clock

DAGS = ("a", "b")
BEGIN = 1_800_000_000  # s
PERIODS = (60, 300)
STEPS = (61, 61, 61, 1, 299, 301, 1_000, -1, -61, -4_000)  # s by which the server's clock goes on
RETENTION = 3600

SOME = st.builds(
    RefSchedule,
    period=st.sampled_from(PERIODS),
    catchup=st.booleans(),
    max_active=st.integers(1, 2),
)
SCHEDULES = st.one_of(SOME, SOME, st.none())


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def fields_of(schedule: RefSchedule | None) -> dict[str, Any] | None:
    """What the engine keeps of that schedule."""
    if schedule is None:
        return None
    dag = DagFields(
        "dag",
        schedule_interval=schedule.period,
        catchup=schedule.catchup,
        max_active_runs=schedule.max_active,
    )
    return due.schedule_fields(dag)


@dataclass(frozen=True)
class Look:
    """What a coordinator has seen, before it acts on it."""

    seen: PublishedDag
    now: datetime


class PublishedMachine(RuleBasedStateMachine):
    """Random interleavings of those who publish and pause, of coordinators, runs and clocks."""

    client: Any
    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.client.set("p:now", BEGIN * 1_000_000)
        self.client.set("p:epoch", "e")
        self.published = self.engine.publishing
        self.published.now = self.server_time  # type: ignore[method-assign]
        self.model = {name: RefDag() for name in DAGS}
        self.looks: list[Look] = []
        self.events: list[dict[str, str]] = []  # in the database for ever
        self.heads: dict[str, dict[str, str]] = {}  # likewise, of runs
        self.counter = 0

    # Time

    def server_time(self) -> datetime:
        return at(0) + timedelta(microseconds=int(self.client.get("p:now")))

    def now(self) -> int:
        return int(self.client.get("p:now")) // 1_000_000

    @rule(
        steps=st.lists(
            st.tuples(st.sampled_from(STEPS), st.booleans(), st.booleans()), min_size=3, max_size=6
        )
    )
    def days_pass(self, steps: list[tuple[int, bool, bool]]) -> None:
        for seconds, fires, ends in steps:
            self.time_passes(seconds, fires, ends)
            self.dags_are_what_the_model_says()

    def time_passes(self, seconds: int, fires: bool, ends: bool) -> None:
        """Maybe runs end, and maybe a coordinator does what it has to."""
        self.client.incrby("p:now", seconds * 1_000_000)
        if ends:
            for name, when in self.active():
                self.end(name, when)
        self.look()
        if fires:
            for look in self.looks:
                self.act_on(look)

    # Those who publish

    @initialize(schedules=st.tuples(SOME, SOME))
    def begin(self, schedules: tuple[RefSchedule, RefSchedule]) -> None:
        for name, schedule in zip(DAGS, schedules, strict=True):
            self.publish(name, schedule, same=False)

    @rule(
        name=st.sampled_from(DAGS),
        schedule=SCHEDULES,
        same=st.booleans(),
        source=st.sampled_from(("", "a.json")),
    )
    def publish(
        self, name: str, schedule: RefSchedule | None, same: bool, source: str = ""
    ) -> None:
        model, now = self.model[name], self.now()
        if same and model.published:
            schedule = model.schedule
        else:
            self.counter += 1
        text = model.text if same and model.published else f'{{"n": {self.counter}}}'
        seen = self.published.dag(name)
        fields = fields_of(schedule)
        answer, version = self.published.publish(
            seen,
            text,
            head_of(name, text),
            due.published(fields, seen, at(now)),
            schedule=fields,
            max_active=schedule.max_active if schedule else 1,
            source=source,
            by="ana@host",
        )
        is_new = model.publish(text, schedule, now, source)
        assert answer == ("published" if is_new else "same")
        assert version == model.version

    @rule(name=st.sampled_from(DAGS), really=st.integers(0, 3))
    def unpublish(self, name: str, really: int) -> None:
        if really < 3:  # else most histories have nothing to run
            return
        model, now, seen = self.model[name], self.now(), self.published.dag(name)
        move = due.unpublished(seen, at(now))
        answer = self.published.unpublish(seen, "ana@host", move)
        assert answer == ("ok" if model.published else "unknown")
        if model.published:
            model.unpublish(now)

    @rule(name=st.sampled_from(DAGS), really=st.booleans())
    def pause(self, name: str, really: bool) -> None:
        if not really:
            return
        self.look()
        model = self.model[name]
        wanted = "unknown" if not model.published else "same" if model.paused else "ok"
        assert self.published.pause(name, "ana@host") == wanted
        if wanted == "ok":
            model.pause()
        for look in self.looks:  # coordinators that looked before it act on it
            if look.seen.dag_id == name:
                self.act_on(look)

    @rule(name=st.sampled_from(DAGS))
    def unpause(self, name: str) -> None:
        model, now, seen = self.model[name], self.now(), self.published.dag(name)
        wanted = "unknown" if not model.published else "ok" if model.paused else "same"
        move = due.unpaused(seen, at(now))
        assert self.published.unpause(seen, "ana@host", move) == wanted
        if wanted == "ok":
            model.unpause(now)

    @precondition(lambda self: any(dag.published for dag in self.model.values()))
    @rule(data=st.data())
    def start_by_hand(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([n for n, d in self.model.items() if d.published]))
        self.counter += 1
        run = f"{name}-by-hand-{self.counter}"
        for first in (True, False):  # a client that got no answer sends it again
            assert self.published.start(name, run, {"n": 1}, "", "ana@host") is first
        head = self.engine.reading.run_head(run)
        assert head["version"] == str(self.model[name].version)
        assert head["run_type"] == "manual"
        assert self.engine.reading.submitted_dag(run) == self.model[name].text

    @precondition(lambda self: self.looks)
    @rule(
        data=st.data(),
        what=st.sampled_from(["publish", "pause", "unpause", "unpublish", "start"]),
    )
    def act_on_what_is_over(self, data: st.DataObject, what: str) -> None:
        """By a client that looked before somebody else changed the DAG: nothing happens."""
        seen = self.looks[data.draw(st.integers(0, len(self.looks) - 1), label="look")].seen
        name, model = seen.dag_id, self.model[seen.dag_id]
        due_then = seen.due and int(seen.due.timestamp())
        if model.published and model.seen == (seen.version, due_then):
            return
        if what == "publish":
            head, keep = head_of(name, "{}"), {"schedule": None, "max_active": 1, "source": ""}
            answer = self.published.publish(seen, "{}", head, Move(None), **keep, by="bob@host")  # type: ignore[arg-type]
            assert answer == ("again", 0)
        elif what == "unpublish":
            expected = "again" if model.published else "unknown"
            assert self.published.unpublish(seen, "bob@host", Move(None)) == expected
        elif what == "unpause":
            expected = "again" if model.paused else "same"
            expected = expected if model.published else "unknown"
            assert self.published.unpause(seen, "bob@host", Move(None)) == expected
        elif not model.published:
            assert self.published.pause(name, "bob@host") == "unknown"
            with pytest.raises(EngineError, match=f"no DAG {name} is published"):
                self.published.start(name, f"{name}-late", {}, "", "bob@host")

    # Coordinators

    @rule()
    def look(self) -> None:
        """A coordinator looks at what is due; it may act on it at once, late, or never."""
        now = self.server_time()
        names = self.published.due(now, 10)
        waiting = [n for n, d in self.model.items() if not d.paused and d.come(self.now())]
        assert sorted(n for n in names if not self.model[n].held) == sorted(
            n for n in waiting if not self.model[n].held
        )
        looks = [Look(seen, now) for seen in self.published.dags(names)]
        self.looks = [*self.looks, *looks][-4:]

    @precondition(lambda self: self.looks)
    @rule(data=st.data())
    def fire(self, data: st.DataObject) -> None:
        self.act_on(self.looks[data.draw(st.integers(0, len(self.looks) - 1), label="look")])

    def act_on(self, look: Look) -> None:
        seen, name = look.seen, look.seen.dag_id
        model = self.model[name]
        done = fire(self.published, seen, look.now)
        if done is None:
            return
        answer, when, _ = done
        assert seen.due
        seen_due = int(seen.due.timestamp())
        if not model.published or model.seen != (seen.version, seen_due):
            assert answer == "again"
            return
        assert answer == model.fire(int(look.now.timestamp()), self.now())
        if answer == "made":
            head = self.engine.reading.run_head(scheduled_run_id(name, when))
            assert head["version"] == str(model.version)
            assert datetime.fromisoformat(head["logical_date"]) == when

    @precondition(lambda self: any(dag.active for dag in self.model.values()))
    @rule(data=st.data())
    def end_run(self, data: st.DataObject) -> None:
        self.end(*data.draw(st.sampled_from(self.active()), label="run"))

    def active(self) -> list[tuple[str, int]]:
        return [(n, t) for n, d in self.model.items() for t, s in d.runs.items() if s == "queued"]

    def end(self, name: str, when: int) -> None:
        assert self.engine.steering.cancel(scheduled_run_id(name, at(when))) == "cancelled"
        self.model[name].end(when, "cancelled")

    # Losses

    @rule()
    def wipe(self) -> None:
        """Redis loses everything, and gets back what the history has."""
        events = self.history()
        runs = self.client.zrange("p:runs", 0, -1)
        heads = {run: self.engine.reading.run_head(run) for run in runs}
        self.heads |= heads
        texts = {run: self.engine.reading.submitted_dag(run) for run in runs}
        now = self.client.get("p:now")
        self.client.flushall()
        self.client.set("p:now", now)
        for run, head in heads.items():
            if head["state"] == "queued":
                kept = {k: v for k, v in head.items() if k not in ("schema", "state")}
                assert self.engine.planning.restore_run(run, texts[run], kept, planned=False)
        for past in lost_dags(events, self.heads):
            assert restore_dag(self.published, past)
            assert not restore_dag(self.published, past)
        self.restored_more(events)
        self.client.set("p:epoch", "e")
        for dag in self.model.values():
            dag.restored()
        self.events = [fields for _, fields in events]

    def restored_more(self, events: list[tuple[str, dict[str, str]]]) -> None:
        """What else a machine that has more gives back."""

    def history(self) -> list[tuple[str, dict[str, str]]]:
        return [("", e) for e in self.events] + self.client.xrange("p:history")

    # What must hold

    @invariant()
    def dags_are_what_the_model_says(self) -> None:
        names = [name for name, dag in sorted(self.model.items()) if dag.published]
        assert self.published.names() == names
        scores = dict(self.client.zrange("p:schedules", 0, -1, withscores=True))
        assert set(scores) == {
            n for n in names if self.model[n].due is not None and not self.model[n].paused
        }
        for name, model in self.model.items():
            seen = self.published.dag(name)
            assert seen.is_published == model.published
            assert seen.version == model.version
            assert (seen.due and int(seen.due.timestamp())) == model.due
            assert int(seen.settled.timestamp() if seen.settled else 0) == model.settled
            assert (seen.paused_at is not None) == model.paused
            if model.published:
                assert seen.missed == len(model.missed)
                assert seen.held == model.held
                assert seen.source == model.source
                assert self.published.text(name) == model.text
                newest = self.published.versions(name)[0]
                assert (newest.number, newest.text) == (model.version, model.text)
                if name in scores and not model.held:
                    assert scores[name] == model.due * 1_000_000  # type: ignore[operator]
            active = {scheduled_run_id(name, at(t)) for t, s in model.runs.items() if s == "queued"}
            assert self.client.smembers(f"p:dag:{name}:active") == active

    @invariant()
    def every_due_time_is_settled_once(self) -> None:
        """By what the history is told: no due time has two runs, or is missed and has a run."""
        history = self.history()
        for name, model in self.model.items():
            missed: list[int] = []
            schedule = None
            begun: list[str] = []
            for _, e in history:
                if e["kind"] == "published" and e["dag_id"] == name:
                    schedule = json.loads(e["schedule"]) if e["schedule"] else None
                elif e["kind"] == "missed" and e["dag_id"] == name:
                    first, last = int(e["first"]) // 1_000_000, int(e["last"]) // 1_000_000
                    times = range(
                        first, last + 1, period_at(schedule, first, last, int(e["missed"]))
                    )
                    assert len(times) == int(e["missed"])
                    missed += times
                elif e["kind"] == "run" and e["state"] == "queued":
                    begun.append(e["run"])
            assert sorted(missed) == sorted(model.missed)
            runs = [scheduled_run_id(name, at(t)) for t in model.runs]
            assert sorted(r for r in begun if r in set(runs)) == sorted(runs)
            assert not model.missed & set(model.runs)


def period_at(schedule: Any, first: int, last: int, missed: int) -> int:
    """The period of the schedule that missed these; it may be replaced in the same step."""
    return (last - first) // (missed - 1) if missed > 1 else 1


def head_of(name: str, text: str) -> dict[str, str | float]:
    return {
        "dag_id": name,
        "processors": 0,
        "weight": 1,
        "timeout": 0,
        "retention": RETENTION,
        "params": "{}",
        "dag_hash": dag_hash(text),
    }


def lost_dags(events: list[tuple[str, dict[str, str]]], heads: Any) -> list[PastDag]:
    """What the history knows, once it has written these events."""
    numbered = [(f"1-{number}", fields) for number, (_, fields) in enumerate(events)]
    batch = batch_of(numbered, {}, {})
    texts = {row["hash"]: row["dag"] for row in batch.dags}
    rows = [{**row, "dag": texts.get(row["dag_hash"])} for row in batch.dag_events]
    dates: dict[str, str] = {}
    for head in heads.values():
        if head["run_type"] == "scheduled":
            name = head["dag_id"]
            dates[name] = max(dates.get(name, ""), head["logical_date"])
    return past_dags_of(rows, dates, {})


def machine_on(client: Any) -> type[PublishedMachine]:
    """The machine on a server of its own, by a client that decodes responses."""

    class Machine(PublishedMachine):
        pass

    Machine.client = client
    Machine.engine = Engine(client, "p", "coordinator")
    with_own_clock(Machine.engine)
    return Machine
