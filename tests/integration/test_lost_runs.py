"""Random runs that Redis loses again and again end as they do when it loses nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pydag_dist.dag import Dag
from pydag_dist.engine import ENDED_RUN_STATES, ENDED_TASK_STATES, Held, RunSnapshot
from tests.integration.test_recorder import Parts, write_all
from tests.support.cluster import call, dag

SEEDS = range(25)
RULES = ["all_success"] * 4 + ["all_done", "none_failed", "one_success", "one_failed", "always"]


def random_dag(chance: random.Random) -> Dag:
    """Retries, trigger rules, branches and expansions, in an order that changes no outcome.

    Whether a branch skips a task or another rule decides it first would depend on who ends first:
    what is downstream of a branch has no other upstream tasks.
    """
    tasks: list[dict[str, Any]] = []
    free: list[str] = []  # what others may be downstream of
    for i in range(chance.randint(4, 14)):
        name = f"t{i}"
        kind = chance.choice(["call", "call", "call", "branch", "expand"])
        upstream = chance.sample(free, min(len(free), chance.randint(0, 3)))
        task = call(name, "note", after=upstream) | {"allow_failure": chance.random() < 0.3}
        if chance.random() < 0.4:
            task |= {"retries": chance.randint(1, 2), "retry_delay": 0.001}
        task["trigger_rule"] = chance.choice(RULES) if upstream else "all_success"
        tasks.append(task)
        if kind == "branch":
            task["operator"] = "branch"
            tasks += [call(f"{name}-{k}", "note", after=[name]) for k in "ab"]
            free += [f"{name}-a", f"{name}-b"]
        else:
            free.append(name)
        if kind == "expand":
            each = call(f"{name}-each", "note", after=[name])
            tasks.append(each | {"expand": {"over": f"tasks.{name}.result"}})
            free.append(f"{name}-each")
    return dag(tasks)


class Worker:
    """Executes whatever is queued; how a try ends is settled by its task and number."""

    def __init__(self, parts: Parts, run_id: str, graph: Dag, seed: int) -> None:
        self.parts, self.run_id, self.graph, self.seed = parts, run_id, graph, seed
        self.held: list[Held] = []
        self.claimed: list[tuple[str, int]] = []

    def claim(self) -> bool:
        """Take the next message, if there is one; else let time pass."""
        parts = self.parts
        packed = parts.redis.rpop("pydag:q:python")
        if packed is None:
            parts.redis.delete("pydag:clock")  # a tick is at most every half second
            parts.engine.tick()
            return False
        sent = json.loads(packed)["headers"]["pydag"]
        number = int(sent["try"])
        worker = parts.installation.worker
        claim = parts.engine.working.claim(
            sent["run"], sent["task"], number, sent["push"], worker, process=len(self.claimed)
        )
        assert not isinstance(claim, str), claim
        self.held.append(Held(sent["run"], sent["task"], number, sent["push"]))
        self.claimed.append((sent["task"], number))
        return True

    def end(self, held: Held) -> None:
        chance = random.Random(f"{self.seed} {held.task} {held.try_number}")
        self.held.remove(held)
        if chance.random() < 0.3:
            assert self.parts.engine.working.release(held, "failed", error="no") == "ok"
            return
        task = self.graph.tasks.get(held.task)
        below = self.graph.downstream[held.task] if task else ()
        branch = task is not None and task.operator == "branch"
        skips = [name for name in below if chance.random() < 0.5] if branch else []
        each = f"{held.task}-each"
        expand = {each: chance.randint(0, 3)} if each in below else {}
        result = json.dumps(held.task)
        answer = self.parts.engine.working.release(
            held, "success", result, skips=skips, expand=expand
        )
        assert answer == "ok"


def run_to_the_end(worker: Worker, lose: Any) -> RunSnapshot:
    """Claim and end in a random order; `lose` is called now and then."""
    chance = random.Random(worker.seed)
    engine, run_id = worker.parts.engine, worker.run_id
    while engine.reading.run_state(run_id) not in ENDED_RUN_STATES:
        if worker.held and chance.random() < 0.5:
            worker.end(chance.choice(worker.held))
        else:
            worker.claim()
        if chance.random() < 0.2:
            lose()
    return engine.reading.snapshot(run_id)


@pytest.fixture
def parts(redis_url: str, tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(redis_url, tmp_path)
    yield parts
    parts.close()


def outcome(snapshot: RunSnapshot) -> Any:
    tasks = {n: (t.state, t.try_number, t.result, t.error) for n, t in snapshot.tasks.items()}
    return snapshot.state, tasks


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_ends_as_it_would_have(parts: Parts, seed: int) -> None:
    graph = random_dag(random.Random(seed))
    recorder = parts.recorder()
    for run_id in ("calm", "lost"):
        parts.engine.steering.submit(run_id, graph.to_json(), graph.dag_id)
    parts.plan("calm")
    wanted = run_to_the_end(Worker(parts, "calm", graph, seed), lambda: None)
    parts.plan("lost")
    worker, ended, losses = Worker(parts, "lost", graph, seed), set(), []

    def lose() -> None:
        write_all(recorder)
        tasks = parts.engine.reading.snapshot("lost").tasks
        ended.update(name for name, task in tasks.items() if task.state in ENDED_TASK_STATES)
        if parts.engine.reading.run_state("lost") in ENDED_RUN_STATES:
            return
        parts.lose()
        write_all(recorder)
        worker.held.clear()
        parts.plan("lost")
        after = parts.engine.reading.snapshot("lost").tasks
        assert {name: after[name] for name in ended} == {name: tasks[name] for name in ended}
        losses.append(len(worker.claimed))

    found = run_to_the_end(worker, lose)
    assert outcome(found) == outcome(wanted)
    assert losses or len(worker.claimed) < 10
    write_all(recorder)
    for run_id, snapshot in (("calm", wanted), ("lost", found)):
        assert parts.history.snapshot(run_id) == snapshot
