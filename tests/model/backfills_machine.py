"""Drives backfills and their reference model side by side, with the DAGs that they are of."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from pydag_dist.coordinator.backfills.loop import Backfills
from pydag_dist.coordinator.backfills.restore import restore_backfill
from pydag_dist.engine import Engine
from pydag_dist.engine.backfills import changes
from pydag_dist.engine.backfills.backfill import Backfill
from pydag_dist.engine.published import scheduled_run_id
from pydag_dist.errors import EngineError
from pydag_dist.history import batch_of
from pydag_dist.history.backfills import PastBackfill, open_backfills_of
from tests.model.backfills import ENDED, RefBackfill
from tests.model.published import RefSchedule
from tests.model.published_machine import DAGS, PERIODS, PublishedMachine, at
from tests.support.engine_bench import with_own_clock

MOST = 6  # due times of a backfill, about
BY = "ana@host"


class Past:
    """The history as the loop reads it: it is late, and has not heard of what Redis still has."""

    def __init__(self, machine: BackfillMachine) -> None:
        self.machine = machine

    def states_at(self, dag_id: str, dates: list[str]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {date: {} for date in dates}
        live = self.machine.client.zrange("p:runs", 0, -1)
        for run_id, head in self.machine.heads.items():
            if head["dag_id"] == dag_id and head["logical_date"] in found and run_id not in live:
                found[head["logical_date"]][run_id] = head["state"]
        return found


class BackfillMachine(PublishedMachine):
    """Random interleavings of those who backfill with all that happens to published DAGs."""

    def __init__(self) -> None:
        super().__init__()
        self.fills: dict[str, RefBackfill] = {}
        self.backfilling = self.engine.backfilling
        past: Any = Past(self)
        self.loop = Backfills(self.engine, past, threading.Event())

    def all_heads(self) -> dict[str, dict[str, str]]:
        """Of all runs that there ever were."""
        runs = self.client.zrange("p:runs", 0, -1)
        return self.heads | {run: self.engine.reading.run_head(run) for run in runs}

    # Those who backfill

    @initialize(
        orders=st.lists(
            st.tuples(st.booleans(), st.sampled_from(["none", "failed", "all"])),
            min_size=2,
            max_size=2,
        ),
        max_active=st.integers(1, 3),
    )
    def begin_backfills(self, orders: list[tuple[bool, Any]], max_active: int) -> None:
        for name, order in zip(DAGS, orders, strict=True):
            if not self.model[name].published:
                self.publish(name, RefSchedule(PERIODS[0], False, 1), same=False)
            self.backfill(name, 0, MOST, order, max_active)

    @rule(
        name=st.sampled_from(DAGS),
        ago=st.integers(0, 4),
        count=st.integers(1, MOST),
        order=st.tuples(st.booleans(), st.sampled_from(["none", "failed", "all"])),
        max_active=st.integers(1, 3),
    )
    def backfill(
        self,
        name: str,
        ago: int,
        count: int,
        order: tuple[bool, Any],
        max_active: int,
    ) -> None:
        newest_first, again = order
        dag, now = self.model[name], self.now()
        period = dag.schedule.period if dag.schedule else PERIODS[0]
        last = now // period * period - ago * period
        first = last - (count - 1) * period
        bound = now
        if dag.schedule and dag.due is not None and (dag.schedule.catchup or not dag.paused):
            bound = min(now, dag.due - period)
        due = [time for time in range(first, last + 1, period) if time <= bound]
        self.counter += 1
        fill = f"fill-{self.counter}"
        try:
            changes.begin(
                self.backfilling,
                fill,
                lambda: changes.span(
                    self.published, name, at(first).isoformat(), at(last).isoformat()
                ),
                newest_first=newest_first,
                again=again,
                weight=0.5,
                max_active=max_active,
                by=BY,
            )
        except EngineError:
            assert not dag.published or not dag.schedule or not due
            return
        assert dag.published
        assert due
        options: Any = {"newest_first": newest_first, "again": again, "weight": 0.5}
        self.sent_again(
            fill, name, [at(time) for time in due], options | {"max_active": max_active}
        )
        due.sort(reverse=newest_first)
        self.fills[fill] = RefBackfill(name, period, due, newest_first, again, max_active)

    def sent_again(self, fill: str, name: str, due: list[datetime], options: Any) -> None:
        """By a client that got no answer; and by one whose look at the DAG is out of date."""
        seen = self.published.dag(name)
        assert self.backfilling.begin(fill, seen, due, **options, by=BY) == "there"
        late = replace(seen, version=seen.version + 1)
        assert self.backfilling.begin(f"{fill}-late", late, due, **options, by=BY) == "again"
        none = replace(seen, dag_id="none")
        assert self.backfilling.begin(f"{fill}-late", none, due, **options, by=BY) == "unknown"
        assert self.backfilling.pause(f"{fill}-late", BY) == "unknown"
        assert self.backfilling.cancel(f"{fill}-late", BY) == "unknown"

    def one_of(self, data: st.DataObject, **attributes: Any) -> str:
        return data.draw(st.sampled_from(self.such(**attributes)), label="backfill")

    def such(self, **attributes: Any) -> list[str]:
        return [
            name
            for name, fill in self.fills.items()
            if all(getattr(fill, key) == value for key, value in attributes.items())
        ]

    @precondition(lambda self: self.such(is_open=True))
    @rule(data=st.data())
    def pause_backfill(self, data: st.DataObject) -> None:
        name = self.one_of(data, is_open=True)
        fill = self.fills[name]
        wanted = {"running": "ok", "paused": "same"}.get(fill.state, fill.state)
        assert self.backfilling.pause(name, BY) == wanted
        if wanted == "ok":
            fill.pause()

    @precondition(lambda self: self.such(state="paused"))
    @rule(data=st.data())
    def unpause_backfill(self, data: st.DataObject) -> None:
        name = self.one_of(data, state="paused")
        fill = self.fills[name]
        dag = self.model[fill.dag]
        try:
            assert changes.unpause(self.backfilling, self.published, name, BY)
        except EngineError:
            assert not dag.published or not dag.schedule
            return
        assert dag.schedule
        fill.unpause(dag.schedule.period)

    @precondition(lambda self: self.such(is_open=True))
    @rule(data=st.data(), really=st.integers(0, 3), is_gone=st.booleans())
    def cancel_backfill(self, data: st.DataObject, really: int, is_gone: bool) -> None:
        if really < 3:  # else most histories have nothing to do
            return
        name = self.one_of(data, is_open=True)
        fill = self.fills[name]
        if is_gone:  # the client, before it has cancelled any run
            state = self.backfilling.cancel(name, BY)
            fill.cancel()
        else:
            state = changes.cancel(self.backfilling, self.engine.steering, name, BY)
            fill.cancel()
            fill.advance({})
        assert state == fill.state

    # Coordinators

    @rule(ends=st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=6))
    def hours_pass(self, ends: list[tuple[int, bool]]) -> None:
        """Runs end, and coordinators make new ones."""
        for number, fails in ends:
            self.coordinators_look()
            for name, time in self.active_runs()[:number]:
                self.backfilled_run_has_ended(name, time, "failed" if fails else "cancelled")
            self.backfills_are_what_the_model_says()

    @rule()
    def coordinators_look(self) -> None:
        # Each runs one step; which backfill comes first is random, so the model follows the engine.
        looked: list[str] = []
        bring_on = self.loop._bring_on

        def noting(backfill_id: str) -> bool:
            self.advance_model(backfill_id)
            looked.append(backfill_id)
            return bring_on(backfill_id)

        self.loop._bring_on = noting  # type: ignore[method-assign]
        self.loop.step()
        self.loop._bring_on = bring_on  # type: ignore[method-assign]
        for name, fill in self.fills.items():
            if name not in looked and fill.state == "running":  # then it has nothing to do
                assert not fill.due or len(fill.active) >= fill.max_active

    def advance_model(self, name: str) -> None:
        fill = self.fills[name]
        dag = self.model[fill.dag]
        has_room = len(fill.active) < fill.max_active
        if fill.state == "running" and fill.due and has_room:
            timing = dag.schedule and dag.schedule.period
            if not dag.published or timing != fill.period:
                fill.pause()
        states: dict[int, list[str]] = {}
        for head in self.all_heads().values():
            if head["dag_id"] == fill.dag and head["logical_date"]:
                time = int(datetime.fromisoformat(head["logical_date"]).timestamp())
                states.setdefault(time, []).append(head["state"])
        fill.advance(states)

    @precondition(lambda self: self.such())
    @rule(data=st.data())
    def a_coordinator_is_late(self, data: st.DataObject) -> None:
        """What it saw, a backfill that ran, has been paused or has ended, or Redis has lost it."""
        name = self.one_of(data)
        fill, seen = self.fills[name], self.backfilling.backfill(name)
        if seen is None:
            assert not fill.is_open
            assert self.backfilling.pause(name, BY) == "unknown"
        elif fill.state != "running" and not (fill.state == "cancelling" and not fill.active):
            assert self.backfilling.look_after(seen, 1) == fill.state
            if not fill.is_open:
                assert self.backfilling.cancel(name, BY) == fill.state
                with pytest.raises(EngineError, match=f"is {fill.state}: it can't be paused"):
                    changes.pause(self.backfilling, name, BY)

    @rule(data=st.data())
    def two_coordinators_act_on_what_they_saw(self, data: st.DataObject) -> None:
        """One of them is late: what it saw is true no longer."""
        if not (names := self.such(state="running")):
            return
        name = data.draw(st.sampled_from(names), label="backfill")
        seen = self.backfilling.backfill(name)
        assert seen
        self.coordinators_look()
        before = self.client.xlen("p:history")
        done = changes.advance(self.backfilling, self.published, seen, everything)
        if done in ("made", "left", "there"):  # nothing had happened in between
            raise AssertionError(f"{done}: what was to be done had been done")
        assert self.client.xlen("p:history") == before

    @precondition(lambda self: self.active_runs())
    @rule(data=st.data(), state=st.sampled_from(["failed", "cancelled"]))
    def backfilled_run_ends(self, data: st.DataObject, state: str) -> None:
        self.backfilled_run_has_ended(
            *data.draw(st.sampled_from(self.active_runs()), label="run"), state
        )

    def active_runs(self) -> list[tuple[str, int]]:
        return [(name, time) for name, fill in self.fills.items() for time in sorted(fill.active)]

    def backfilled_run_has_ended(self, name: str, time: int, state: str) -> None:
        run = self.run_of(name, time)
        if state == "failed":
            assert self.engine.planning.plan_refuse(run, "no")
        else:
            assert self.engine.steering.cancel(run) == "cancelled"
        self.fills[name].end(time, state)

    @precondition(lambda self: self.ended_runs())
    @rule(data=st.data())
    def backfilled_run_is_resumed(self, data: st.DataObject) -> None:
        name, time = data.draw(st.sampled_from(self.ended_runs()), label="run")
        run = self.run_of(name, time)
        self.engine.steering.resume(run)
        self.fills[name].runs[time] = "queued"
        if not self.fills[name].is_open:  # it is not the backfill's any more
            self.engine.steering.cancel(run)
            self.fills[name].runs[time] = "cancelled"

    def ended_runs(self) -> list[tuple[str, int]]:
        return [
            (name, time)
            for name, fill in self.fills.items()
            for time, state in fill.runs.items()
            if state in ENDED and self.client.exists(f"p:run:{self.run_of(name, time)}")
        ]

    def run_of(self, name: str, time: int) -> str:
        return f"{scheduled_run_id(self.fills[name].dag, at(time))}-{name.rpartition('-')[2]}"

    # Losses

    def restored_more(self, events: list[tuple[str, dict[str, str]]]) -> None:
        """Redis has its runs and DAGs back."""
        for past in self.lost_backfills(events):
            assert restore_backfill(self.backfilling, past)
            assert not restore_backfill(self.backfilling, past)
            self.fills[past.backfill_id].restored()

    def lost_backfills(self, events: list[tuple[str, dict[str, str]]]) -> list[PastBackfill]:
        numbered = [(f"1-{number}", fields) for number, (_, fields) in enumerate(events)]
        rows = [
            {"run_id": run, "spent": 1.0, **{k: head[k] for k in ("state", "logical_date")}}
            | {"backfill": head["backfill"]}
            for run, head in self.heads.items()
            if head.get("backfill")
        ]
        return open_backfills_of(batch_of(numbered, {}, {}).backfill_events, rows)

    # What must hold

    @invariant()
    def backfills_are_what_the_model_says(self) -> None:
        found = {seen.backfill_id: seen for seen in self.backfilling.backfills()}
        scores = dict(self.client.zrange("p:backfills:open", 0, -1, withscores=True))
        assert set(scores) == {*self.such(state="running"), *self.such(state="cancelling")}
        for name, fill in self.fills.items():
            if name not in found:  # the history alone has what had ended when Redis was lost
                assert not fill.is_open
                continue
            self.is_as(found[name], fill)
            active = {self.run_of(name, time) for time in fill.active} if fill.is_open else set()
            assert set(self.backfilling.active(name)) == active
            if fill.state == "running" and fill.due and len(fill.active) < fill.max_active:
                assert scores[name] <= self.engine_now()

    def engine_now(self) -> int:
        return int(self.client.get("p:now"))

    def is_as(self, seen: Backfill, fill: RefBackfill) -> None:
        assert (seen.state, seen.total, seen.left_out) == (fill.state, fill.total, fill.left)
        assert (seen.next and int(seen.next.timestamp())) == fill.next
        assert seen.made == len(fill.runs)
        assert [seen.success, seen.failed, seen.cancelled] == [fill.counts(s) for s in ENDED]

    @invariant()
    def each_due_time_of_a_backfill_has_one_run(self) -> None:
        """By what the history is told."""
        begun = {
            e["run"] for _, e in self.history() if e["kind"] == "run" and e["state"] == "queued"
        }
        for name, fill in self.fills.items():
            runs = {self.run_of(name, time) for time in fill.runs}
            suffix = f"-{name.rpartition('-')[2]}"
            assert {r for r in begun if r.endswith(suffix) and r.count("-") == 2} == runs


def everything(_: Backfill, due: Any) -> list[bool]:
    return [True] * len(due)


def backfill_machine_on(client: Any) -> type[BackfillMachine]:
    """The machine on a server of its own, by a client that decodes responses."""

    class Machine(BackfillMachine):
        pass

    Machine.client = client
    Machine.engine = Engine(client, "p", "coordinator")
    with_own_clock(Machine.engine)
    return Machine
