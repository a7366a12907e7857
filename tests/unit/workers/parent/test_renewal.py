"""The thread of a worker's parent that talks to the engine, with an engine that only remembers."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
import redis

from pydag_dist.engine import Held
from tests.support import wait_until
from workers.parent import deaths
from workers.parent import renewal as module
from workers.parent.deaths import DEATHS, Death, Process
from workers.pool import going_on
from workers.pool.last_words import LastWords
from workers.task import Execute
from workers.tries.outcome import Ended, Untold

HELD = Held("run", "t", 1, "push")


class Unregistered:
    """A member that tells nobody of itself."""

    def renew(self, membership, busy):
        pass

    def leave(self, membership):
        pass


class Engine:
    """Remembers its calls; fails as often as it is told to."""

    def __init__(self):
        self.working = self.membership = self  # its roles
        self.released: list[tuple[Held, str]] = []
        self.renewed: list[tuple[int, list[Held]]] = []
        self.processes: list[set[int]] = []
        self.handed_in: list[tuple[list[tuple[Held, str, str]], str, int]] = []
        self.failures = 0

    def end(self, end):
        if self.failures:
            self.failures -= 1
            raise redis.ConnectionError("away")
        self.released.append((end.held, end.outcome))
        return "ok"

    def renew(self, _worker, slots, _queues, held, *, looked_ago, processes):
        assert looked_ago >= 0
        self.processes.append(set(processes))
        self.renewed.append((slots, held))
        return ["yours"] * len(held)

    def hand_in(self, ends, worker, *, process, kept=None):  # noqa: ARG002
        if self.failures:
            self.failures -= 1
            raise redis.ConnectionError("away")
        told = [(end.held, end.outcome, end.error) for end in ends]
        self.handed_in.append((told, worker, process))
        return ["ok"] * len(ends)

    def tick(self):
        return True


@pytest.fixture
def engine(monkeypatch):
    engine = Engine()
    monkeypatch.setattr(module, "Engine", lambda *_, **__: engine)
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr(module, "RENEWALS", 0.05)
    return engine


@pytest.fixture
def renewal(engine):
    renewal = module.Renewal("w1@host", 2, ["python"], Unregistered())
    renewal.start()
    wait_until(lambda: engine.renewed, "the first renewal")
    yield renewal
    renewal.stop()
    assert not renewal.is_alive()


def test_what_the_hub_tells_goes_to_the_engine_long_before_the_next_renewal(engine, renewal):
    DEATHS.report(HELD, Ended("dead"))
    wait_until(lambda: engine.released == [(HELD, "dead")], "it is told")
    assert len(engine.renewed) == 1


def test_what_redis_could_not_take_is_told_again_in_its_order(engine, renewal):
    engine.failures = 3
    other = Held("run", "u", 1, "push")
    DEATHS.report(HELD, Ended("dead"))
    DEATHS.report(other, Ended("failed"))
    wait_until(lambda: len(engine.released) == 2, "both are told")
    assert engine.released == [(HELD, "dead"), (other, "failed")]


def test_a_worker_that_leaves_gives_its_slots_back_at_once(engine, renewal):
    renewal.leave()
    wait_until(lambda: len(engine.renewed) == 2, "it renews")
    assert [slots for slots, _ in engine.renewed] == [2, 0]


def test_what_is_told_last_is_told_before_the_end(engine):
    renewal = module.Renewal("w1@host", 2, ["python"], Unregistered())
    renewal.start()
    DEATHS.report(HELD, Ended("dead"))
    renewal.stop()
    assert engine.released == [(HELD, "dead")]
    assert engine.renewed[-1] == (0, [])


def test_polls_hold_nothing_that_could_be_renewed(engine, monkeypatch):
    def request(run):
        header = {"run": run, "task": "t", "try": "1", "push": "push"}
        context = SimpleNamespace(pydag=header)
        return SimpleNamespace(
            task=Execute(), _context=context, worker_pid=None, terminated_at=None
        )

    requests = [request("*"), request("run")]
    monkeypatch.setattr(module.worker_state, "reserved_requests", requests)
    renewal = module.Renewal("w1@host", 2, ["python"], Unregistered())
    renewal.beat()
    renewal.start()
    wait_until(lambda: engine.renewed, "it renews")
    renewal.stop()
    assert engine.renewed[0] == (2, [HELD])


@pytest.mark.parametrize("run", ["run", "*"])  # also after a poll
def test_what_a_process_has_gone_on_with_is_held_in_the_place_of_its_message_s_try(
    engine, monkeypatch, run
):
    header = {"run": run, "task": "first", "try": "1", "push": "push"}
    context = SimpleNamespace(pydag=header)
    request = SimpleNamespace(task=Execute(), _context=context, worker_pid=7, terminated_at=None)
    monkeypatch.setattr(module.worker_state, "reserved_requests", [request])
    renewal = module.Renewal("w1@host", 2, ["python"], Unregistered())
    monkeypatch.setattr(module.going_on, "has_gone_on", lambda pid: pid == 7)
    monkeypatch.setattr(module.going_on, "is_releasing", lambda _: False)
    for running, held in ((HELD, [HELD]), (None, [])):  # None: between two tries
        monkeypatch.setattr(module.spools, "running", lambda _, running=running: running)
        renewal.beat()
        renewal._renew()
        assert engine.renewed.pop() == (2, held)
        assert engine.processes.pop() == {7}


def test_a_try_is_held_until_redis_has_its_end(engine, monkeypatch):
    request = SimpleNamespace(
        task=Execute(),
        _context=SimpleNamespace(pydag={"run": "run", "task": "t", "try": "1", "push": "push"}),
        worker_pid=os.getpid(),
        terminated_at=None,
    )
    monkeypatch.setattr(module.worker_state, "reserved_requests", [request])
    monkeypatch.setattr(module.spools, "running", lambda _: None)  # its output has ended
    renewal = module.Renewal("w1@host", 2, ["python"], Unregistered())

    def named():
        renewal.beat()
        renewal._renew()
        return engine.renewed.pop()[1]

    going_on.begin_message()
    assert named() == [HELD]
    assert going_on.go_on()  # Redis may be away for long, or the process be paused
    assert named() == [HELD]
    going_on.went_on()
    assert named() == []


def test_what_waits_behind_a_long_try_is_put_back_once(engine, monkeypatch):
    header = {"run": "run", "task": "first", "try": "1", "push": "push"}
    context = SimpleNamespace(pydag=header)
    request = SimpleNamespace(task=Execute(), _context=context, worker_pid=7, terminated_at=None)
    monkeypatch.setattr(module.worker_state, "reserved_requests", [request])
    monkeypatch.setattr(module.going_on, "has_gone_on", lambda pid: pid == 7)
    monkeypatch.setattr(module.going_on, "is_releasing", lambda _: False)
    before = {"held": vars(Held("run", "second", 1, "push")), "ended": vars(Ended("success"))}
    words = LastWords(ends=[before | {"lasted": 0.1, "at": time.monotonic()}])
    monkeypatch.setattr(deaths.last_words, "so_far", lambda pid: words if pid == 7 else None)
    renewal = module.Renewal("w1@host", 2, ["python"], Unregistered())
    other = Held("run", "other", 1, "push")
    calls = []
    for running in (HELD, HELD, HELD, other, HELD, None):
        monkeypatch.setattr(module.spools, "running", lambda _, running=running: running)
        renewal.beat()
        renewal._make_calls(0)
        calls.append(len(engine.handed_in))
    assert calls == [0, 1, 1, 1, 1, 1]
    told = [(Held("run", "second", 1, "push"), "success", "")]
    assert engine.handed_in == [(told, "w1@host", 7)]


def test_of_a_process_that_dies_after_a_poll_only_what_it_has_gone_on_with_is_told(engine):
    poll, process = Held("*", "acme.x", 0, "push"), Process("w1@host", 7)
    DEATHS.report_further_on(poll, "dead", Death("died of SIGKILL"), process)
    DEATHS.report_further_on(poll, "dead", Death("died of SIGKILL", running=HELD), process)
    renewal = module.Renewal("w1@host", 2, ["python"], Unregistered())
    renewal._make_calls(0)
    told = [(HELD, "dead", "died of SIGKILL")]
    assert engine.handed_in == [([], "w1@host", 7), (told, "w1@host", 7)]


def test_a_process_that_dies_further_on_is_named_until_its_death_is_told(engine, monkeypatch):
    message = Held("run", "first", 1, "push")
    before = Held("run", "second", 1, "push")
    untold = Untold(before, Ended("success"), 0.1, time.monotonic())
    death = Death("died of SIGKILL", running=HELD, untold=(untold,))
    monkeypatch.setattr(module.worker_state, "reserved_requests", [])
    renewal = module.Renewal("w1@host", 2, ["python"], Unregistered())
    notes = []
    monkeypatch.setattr(DEATHS, "note", lambda held, text: notes.append((held, text)))
    DEATHS.report_further_on(message, "dead", death, Process("w1@host", 7))
    engine.failures = 1
    renewal._make_calls(0)
    renewal._renew()
    assert engine.renewed.pop() == (2, [HELD])
    assert engine.processes.pop() == {7}
    renewal._make_calls(0)
    told = [(before, "success", ""), (HELD, "dead", "died of SIGKILL")]
    assert engine.handed_in == [(told, "w1@host", 7)]
    assert notes == [(HELD, "the process of this try died of SIGKILL")]
    renewal._held = [HELD]  # as the look before that had it
    renewal._renew()
    assert engine.renewed.pop() == (2, [])
    assert engine.processes.pop() == set()
