"""Random DAGs, and how each of their tasks has to end."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydag_dist import Dag
from pydag_dist.testing.reference import decide

RULES = (
    *["all_success"] * 8,
    "all_done",
    "all_done_min_one_success",
    "all_failed",
    "all_skipped",
    "one_success",
    "one_failed",
    "one_done",
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
    kind: Literal["call", "branch", "query", "expanded"]
    upstream: tuple[str, ...]
    rule: str
    fails: int
    retries: int
    allow_failure: bool
    ms: int
    follows: tuple[str, ...] = ()  # of a branch
    items: int | None = None  # it returns a list of so many
    over: str = ""  # of an expanded task: that list's task
    item: int | None = None  # of a child of an expanded task
    names: str = ""  # the task whose result its own one names

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
        if self.kind == "branch":
            return list(self.follows)
        if self.items is not None:
            return list(range(self.items))
        result: dict[str, Any] = {"of": self.name, "ms": self.ms}
        if self.names:
            result["names"] = self.names
        if self.item is not None:
            result["item"] = self.item
        return result

    def error(self, number: int) -> str:
        """A part of what it says when that try fails."""
        return "division by zero" if self.kind == "query" else f"told to fail in try {number}"

    def children(self, items: int) -> list[RandomTask]:
        """What it expands into; of three children one fails, if any does."""
        return [
            replace(
                self,
                name=f"{self.name}.{i}",
                kind="call",
                item=i,
                fails=self.fails if i % 3 == 1 else 0,
            )
            for i in range(items)
        ]


@dataclass(frozen=True)
class RandomDag:
    dag_id: str
    tasks: dict[str, RandomTask]  # upstream tasks first
    downstream: dict[str, list[str]] = field(init=False)
    processors: int = 0
    weight: float = 1.0
    schedule: Mapping[str, Any] = field(default_factory=dict)  # the fields of its schedule

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
                **self.schedule,
                "params": {"journal": journal},
                "tasks": [self._task(task) for task in self.tasks.values()],
            }
        )

    def _task(self, task: RandomTask) -> dict[str, Any]:
        content: dict[str, Any] = {
            "task_id": task.name,
            "dependencies": list(task.upstream),
            "trigger_rule": task.rule,
            "retries": task.retries,
            "retry_delay": 0.5,
            "allow_failure": task.allow_failure,
        }
        if task.kind == "query":
            before = f"INSERT INTO {DATASET}.effects VALUES ('"
            insert = f"""{before!r} ~ run_id ~ "', '{task.name}')\""""
            sql = f"{{{{ {insert} if try_number > {task.fails} else 'SELECT 1 / 0' }}}}"
            return content | {"operator": "bigquery.query", "params": {"sql": sql}}
        fails, result = task.fails, task.result
        if task.kind == "expanded":
            content["expand"] = {"over": f"tasks.{task.over}.result"}
            fails = f"{{{{ {task.fails} if index % 3 == 1 else 0 }}}}"
            result = result | {"of": "{{ task_id }}", "item": "{{ item }}"}
        if task.names:
            result = result | {"names": f"{{{{ tasks.{task.names}.result.of }}}}"}
        kwargs = {
            "journal": "{{ params.journal }}",
            "ms": task.ms,
            "fails": fails,
            "result": result,
        }
        params = {"callable": "tests.acceptance.chaos.work:call", "kwargs": kwargs}
        return content | {
            "operator": "branch" if task.kind == "branch" else "python.call",
            "params": params,
        }

    def children(self, states: Mapping[str, str]) -> dict[str, RandomTask]:
        """What tasks that have ended so have expanded into."""
        return {
            child.name: child
            for name, task in self.tasks.items()
            if task.kind == "expanded" and states[name] in EXECUTED
            for child in task.children(self.tasks[task.over].items or 0)
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

        It is one, in whatever order these ended.
        """
        task = self.tasks[name]
        return {self._ends(task, order, states) for order in itertools.permutations(task.upstream)}

    def _is_branch(self, name: str) -> bool:
        return self.tasks[name].kind == "branch"

    def _ends(self, task: RandomTask, order: tuple[str, ...], states: Mapping[str, str]) -> str:
        heard: list[str] = []
        verdict = "ready" if task.rule == "always" else decide(task.rule, [], len(order))
        for parent in order:
            if verdict is not None:
                break
            heard.append(states[parent])
            chose = self._is_branch(parent) and states[parent] == "success"
            if chose and task.name in self.skipped(parent):
                verdict = "skipped"
            else:
                asks = any(map(self._is_branch, order[len(heard) :]))
                verdict = decide(task.rule, heard, len(order), asks)
        assert verdict is not None, f"{task} after {heard}"
        return self._end(task) if verdict == "ready" else verdict

    def _end(self, task: RandomTask) -> str:
        if task.kind != "expanded":
            return task.end
        ends = {child.end for child in task.children(self.tasks[task.over].items or 0)}
        return "failed" if "failed" in ends else "success" if ends else "skipped"

    def run_state(self, states: Mapping[str, str]) -> str:
        """How a run ends whose tasks have ended so."""
        failed = [task for task in self.tasks.values() if states[task.name] == "failed"]
        return "success" if all(task.allow_failure for task in failed) else "failed"


def random_dag(chance: random.Random, dag_id: str, short: float = 0) -> RandomDag:
    """From chains to wide DAGs, a few seconds of work each.

    A share of `short` of them has tasks of less than 5 ms only: processes go on with these.
    """
    is_short = short > 0 and chance.random() < short
    return RandomDag(
        dag_id,
        _random_tasks(chance, most_ms=4 if is_short else 4000),
        processors=chance.choice([0, 0, 0, 1, 4]),
        weight=chance.choice([1.0, 1.0, 3.0]),
    )


def _random_tasks(chance: random.Random, most_ms: int) -> dict[str, RandomTask]:
    count = chance.choice([chance.randint(1, 8), chance.randint(8, 25), chance.randint(25, 60)])
    reach = chance.choice([1, 3, 10, count])
    most = chance.choice([1, 2, 4])
    failing = chance.choice([0, 0.05, 0.3])
    longest = min(most_ms, chance.choice([200, 1000, 4000]))
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
        calls = [parent for parent in parents if tasks[parent].kind == "call"]
        if downstream[name]:
            kinds += ["branch"] * 2
        if calls:
            kinds += ["expanded"] * 2
        kind = chance.choice(kinds)
        over = chance.choice(calls) if kind == "expanded" else ""
        if over and tasks[over].items is None:
            tasks[over] = replace(tasks[over], items=chance.choice([0, 1, 3, 10]), names="")
        rule = "all_success" if over else chance.choice(RULES)
        named = chance.random() < 0.5 and kind == "call" and rule == "all_success"
        follows = [t for t in downstream[name] if chance.random() < 0.5]
        tasks[name] = RandomTask(
            name=name,
            kind=kind,
            upstream=parents,
            rule=rule,
            fails=chance.randint(1, 3) if chance.random() < failing else 0,
            retries=chance.choice([0, 1, 3]),
            allow_failure=chance.random() < 0.1,
            ms=chance.randint(0, longest),
            follows=tuple(follows) if kind == "branch" else (),
            over=over,
            names=calls[0] if calls and named else "",
        )
    # A list has no task's name in it.
    for name, task in tasks.items():
        if task.names and tasks[task.names].items is not None:
            tasks[name] = replace(task, names="")
    return tasks
