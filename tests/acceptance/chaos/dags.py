"""Random DAGs, and how each of their tasks has to end."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydag_dist import Dag
from tests.reference import decide

RULES = (
    *["all_success"] * 8,
    "all_done",
    "all_failed",
    "one_success",
    "one_failed",
    "none_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "always",
)
DATASET = "chaos"
EXECUTED = {"success", "failed"}


@dataclass(frozen=True)
class RandomTask:
    """A task as it was drawn; its first `fails` tries fail, wherever and whenever they run."""

    name: str
    kind: Literal["call", "branch", "query"]
    upstream: tuple[str, ...]
    rule: str
    fails: int
    retries: int
    allow_failure: bool
    ms: int
    follows: tuple[str, ...] = ()  # of a branch

    @property
    def end(self) -> str:
        """How it ends if it is executed."""
        return "success" if self.fails <= self.retries else "failed"

    @property
    def tries(self) -> int:
        """How many tries it takes to end so."""
        return min(self.fails, self.retries) + 1

    @property
    def result(self) -> Any:
        """What it returns in the end."""
        return list(self.follows) if self.kind == "branch" else {"of": self.name, "ms": self.ms}


@dataclass(frozen=True)
class RandomDag:
    dag_id: str
    tasks: dict[str, RandomTask]  # upstream tasks first
    downstream: dict[str, list[str]] = field(init=False)
    processors: int = 0
    weight: float = 1.0

    def __post_init__(self) -> None:
        downstream: dict[str, list[str]] = {name: [] for name in self.tasks}
        for task in self.tasks.values():
            for parent in task.upstream:
                downstream[parent].append(task.name)
        object.__setattr__(self, "downstream", downstream)

    def dag(self, journal: str) -> Dag:
        """As a client submits it."""
        return Dag.parse(
            {
                "dag_id": self.dag_id,
                "processors": self.processors,
                "weight": self.weight,
                "tasks": [self._task(task, journal) for task in self.tasks.values()],
            }
        )

    def _task(self, task: RandomTask, journal: str) -> dict[str, Any]:
        content: dict[str, Any] = {
            "task_id": task.name,
            "dependencies": list(task.upstream),
            "trigger_rule": task.rule,
            "retries": task.retries,
            "retry_delay": 0.5,
            "allow_failure": task.allow_failure,
        }
        if task.kind == "query":
            sql = f"INSERT INTO {DATASET}.effects VALUES ('{self.dag_id}', '{task.name}')"
            return content | {"operator": "bigquery.query", "params": {"sql": sql}}
        kwargs = {"journal": journal, "ms": task.ms, "fails": task.fails, "result": task.result}
        params = {"callable": "tests.acceptance.chaos.work:call", "kwargs": kwargs}
        return content | {
            "operator": "branch" if task.kind == "branch" else "python.call",
            "params": params,
        }

    def skipped(self, branch: str) -> set[str]:
        """What that branch does not follow, nor leads to through what it follows."""
        task = self.tasks[branch]
        reached, left = set(task.follows), list(task.follows)
        while left:
            more = [child for child in self.downstream[left.pop()] if child not in reached]
            reached.update(more)
            left += more
        return set(self.downstream[branch]) - reached

    def allowed(self, name: str, states: Mapping[str, str]) -> set[str]:
        """The states in which that task may have ended, its upstream tasks having ended so.

        More than one if it depends on which of them ended first.
        """
        task = self.tasks[name]
        return {self._ends(task, order, states) for order in itertools.permutations(task.upstream)}

    def _ends(self, task: RandomTask, order: tuple[str, ...], states: Mapping[str, str]) -> str:
        heard: list[str] = []
        verdict = "ready" if task.rule == "always" else decide(task.rule, [], len(order))
        for parent in order:
            if verdict is not None:
                break
            heard.append(states[parent])
            chose = self.tasks[parent].kind == "branch" and states[parent] == "success"
            if chose and task.name in self.skipped(parent):
                verdict = "skipped"
            else:
                verdict = decide(task.rule, heard, len(order))
        assert verdict is not None, f"{task} after {heard}"
        return task.end if verdict == "ready" else verdict

    def run_state(self, states: Mapping[str, str]) -> str:
        """How a run ends whose tasks have ended so."""
        failed = [name for name, state in states.items() if state == "failed"]
        return "failed" if any(not self.tasks[n].allow_failure for n in failed) else "success"


def random_dag(chance: random.Random, dag_id: str) -> RandomDag:
    """From chains to wide DAGs, a few seconds of work each."""
    count = chance.choice([chance.randint(1, 8), chance.randint(8, 25), chance.randint(25, 60)])
    reach = chance.choice([1, 3, 10, count])
    most = chance.choice([1, 2, 4])
    failing = chance.choice([0, 0.05, 0.3])
    longest = chance.choice([200, 1000, 4000])
    upstream: dict[str, tuple[str, ...]] = {}
    for i in range(count):
        near = list(upstream)[-reach:]
        parents = chance.sample(near, min(len(near), chance.randint(0, most)))
        upstream[f"t{i}"] = tuple(parents)
    downstream: dict[str, list[str]] = {name: [] for name in upstream}
    for name, parents in upstream.items():
        for parent in parents:
            downstream[parent].append(name)
    tasks: dict[str, RandomTask] = {}
    for name, parents in upstream.items():
        kinds: list[Any] = ["call"] * 6 + ["query"] * 2
        kind = chance.choice(kinds + ["branch"] * 2 if downstream[name] else kinds)
        fails = chance.randint(1, 3) if kind != "query" and chance.random() < failing else 0
        follows = [t for t in downstream[name] if chance.random() < 0.5]
        tasks[name] = RandomTask(
            name=name,
            kind=kind,
            upstream=parents,
            rule=chance.choice(RULES),
            fails=fails,
            retries=chance.choice([0, 1, 3]),
            allow_failure=chance.random() < 0.1,
            ms=chance.randint(0, longest),
            follows=tuple(follows) if kind == "branch" else (),
        )
    return RandomDag(
        dag_id,
        tasks,
        processors=chance.choice([0, 0, 0, 1, 4]),
        weight=chance.choice([1.0, 1.0, 3.0]),
    )
