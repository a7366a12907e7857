"""Runs that fail, are cancelled and resumed again and again: no result is older than its inputs."""

from __future__ import annotations

from random import Random

import fakeredis
import pytest

from pydag_dist.dag import Dag, TriggerRule
from pydag_dist.engine import ENDED_RUN_STATES
from tests.support.engine_bench import CALL, QUERY, Bench

CHILDREN = 3
OUTCOMES = ("success", "success", "success", "failed", "dead")


def random_tasks(dice):
    """Tasks of a DAG, parents first."""
    tasks = []
    for i in range(dice.randint(2, 8)):
        above = dice.sample(tasks, min(len(tasks), dice.randint(0, 3)))
        lists = [task["task_id"] for task in above if "expand" not in task]
        fields = dict(dice.choice((CALL, QUERY)))
        if lists and dice.random() < 0.25:
            fields["expand"] = {"over": f"tasks.{dice.choice(lists)}.result"}
        if dice.random() < 0.6:
            fields["trigger_rule"] = dice.choice(list(TriggerRule))
        names = [task["task_id"] for task in above]
        allowed = dice.random() < 0.2
        fields |= {"task_id": f"t{i}", "dependencies": names, "allow_failure": allowed}
        tasks.append(fields)
    return tasks


class Rounds:
    """One run; each success of a task or child is numbered, later ones higher."""

    def __init__(self, client, tasks):
        client.flushall()
        self.bench = Bench(client)
        self.bench.slots(2)
        self.bench.slots(2, "bigquery")
        self.dag = Dag.parse({"dag_id": "dag", "tasks": tasks})
        self.bench.engine.steering.submit("r", self.dag.to_json(), "dag")
        self.at = dict.fromkeys(self.dag.tasks, 0)
        self.ends = 0

    @property
    def engine(self):
        return self.bench.engine

    def go(self, outcome, stop_after=None):
        """To the end of a round, which is cancelled after so many ends of tries."""
        self.bench.plan()
        while self.engine.reading.run_state("r") not in ENDED_RUN_STATES:
            if stop_after == 0:
                self.engine.steering.cancel("r")
            stop_after = None if stop_after is None else stop_after - 1
            queue = next((q for q in ("python", "bigquery") if self.has(q)), None)
            if queue:
                self.end(self.bench.pop(queue), outcome)
            else:  # old messages filled the window
                self.bench.tick()

    def has(self, queue):
        return self.bench.client.llen(f"p:q:{queue}") > 0

    def end(self, held, outcome):
        what = outcome()
        order = self.engine.working.claim(*vars(held).values(), "w", process=1)
        if isinstance(order, str):
            return
        if order.order == "cancel":
            what = "stopped"
        over = [
            name
            for name in self.dag.downstream.get(held.task, ())
            if (expand := self.dag.tasks[name].expand) and expand.task == held.task
        ]
        counts = dict.fromkeys(over, CHILDREN) if what == "success" else {}
        assert self.engine.working.release(held, what, expand=counts) == "ok"
        if what == "success":
            self.ends += 1
            name = held.task if held.task in self.dag.tasks else held.task.rpartition(".")[0]
            self.at[name] = max(self.at[name], self.ends)
            self.at[held.task] = self.ends

    def states(self):
        return {name: task.state for name, task in self.engine.reading.snapshot("r").tasks.items()}

    def stale(self):
        """Tasks and children that are done and older than something above them that is done."""
        states = self.states()
        found = []
        for name, state in states.items():
            planned = name if name in self.dag.tasks else name.rpartition(".")[0]
            above = [
                up
                for up in self.dag.tasks[planned].dependencies
                if states[up] == "success" and self.at[up] and up in self.at
            ]
            rule = self.dag.tasks[planned].trigger_rule
            if state == "success" and self.at.get(name) and rule in WAITING:
                found += [(name, up) for up in above if self.at[up] > self.at[name]]
        return found


# Rules by which a task never begins before all upstream tasks have ended, once one has succeeded.
WAITING = {"all_success", "all_done", "none_failed", "none_failed_min_one_success", "none_skipped"}


@pytest.fixture(scope="module")
def client():
    client = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"run_id": "fake"}  # fakeredis has no INFO
    return client


@pytest.mark.parametrize("seed", range(40))
def test_no_result_is_older_than_what_it_was_made_of(client, seed):
    dice = Random(seed)
    tasks = random_tasks(dice)
    rounds = Rounds(client, tasks)
    for _ in range(3):
        rounds.go(lambda: dice.choice(OUTCOMES), dice.choice((None, None, *range(6))))
        assert not rounds.stale()
        named = "" if rounds.engine.reading.run_state("r") != "success" else "t0"
        rounds.engine.steering.resume("r", dice.choice([named, *sorted(rounds.states())]))
    rounds.go(lambda: "success")
    assert not rounds.stale()
    states = rounds.states()
    # What a run that never failed looks like.
    fresh = Rounds(client, tasks)
    fresh.go(lambda: "success")
    assert states == fresh.states()
