"""What Airflow documents of its trigger rules, and the engine below upstream tasks that end so.

https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dags.html#trigger-rules, and for
the state of a task whose rule is not met airflow/ti_deps/deps/trigger_rule_dep.py.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydag_dist.dag.fields import TriggerRule
from pydag_dist.engine import Held
from tests.support.engine_bench import Bench, task

MAIN = ("success", "failed", "upstream_failed", "skipped")
ENDS = (*MAIN, "poisoned", "cancelled")
# How an upstream task comes to its end: the outcome of its try, or that of the task above it.
OUTCOMES = {
    "success": "success",
    "failed": "failed",
    "upstream_failed": "failed",
    "skipped": "skipped",
    "poisoned": "lost",
    "cancelled": "revoked",
}
RUNS = {"ready", "queued"}

Ends = tuple[str, ...]


def sequences(length: int, ends: Iterable[str] = ENDS) -> Iterator[Ends]:
    """All ends of so many upstream tasks, in the order in which they end."""
    return itertools.product(ends, repeat=length)


def expected(rule: str, ends: Ends) -> str:
    """Airflow's word on a task all of whose upstream tasks have ended: it runs, or its state."""
    # Here two more ends are failures: a try of which nobody knows, and a cancelled one.
    count = Counter("failed" if end in ("poisoned", "cancelled") else end for end in ends)
    success, skipped, total = count["success"], count["skipped"], len(ends)
    failed = count["failed"] + count["upstream_failed"]
    met = {
        "all_success": success == total,
        "all_failed": failed == total,
        "all_done": True,
        "all_skipped": skipped == total,
        "one_failed": failed >= 1,
        "one_success": success >= 1,
        "one_done": success + count["failed"] >= 1,
        "none_failed": failed == 0,
        "none_failed_min_one_success": failed == 0 and success >= 1,
        "none_skipped": skipped == 0,
        "all_done_min_one_success": skipped == 0 and success >= 1,
        "always": True,
    }
    if met[rule]:
        return "runs"
    fails: Mapping[str, bool] = {
        "all_success": failed >= 1,
        "none_failed": True,
        "none_failed_min_one_success": failed >= 1,
        "one_success": skipped < total,
        "all_done_min_one_success": skipped == 0,
    }
    return "upstream_failed" if fails.get(rule) else "skipped"


def check(client: Any, groups: Iterable[Ends]) -> None:
    """Let the upstream tasks of each group end in its order, and compare what is below them.

    All groups are one run. Of every other group failures are allowed, which decides nothing here.
    """
    groups = list(groups)
    bench = Bench(client)
    bench.slots(100_000)
    tasks: list[dict[str, Any]] = []
    for number, ends in enumerate(groups):
        names = []
        for place, end in enumerate(ends):
            name, above = f"g{number}-{place}", []
            if end == "upstream_failed":
                above = [f"{name}-above"]
                tasks.append(task(above[0]))
            tasks.append(task(name, *above, allow_failure=number % 2 == 1))
            names.append(name)
        tasks += [task(f"g{number}.{rule}", *names, trigger_rule=rule) for rule in TriggerRule]
    bench.start(*tasks)
    before = -1
    while before < (before := client.llen("p:q:python")):  # a script pushes some hundreds
        bench.slots(100_000)
    held = {h.task: h for h in messages(client)}
    for number, ends in enumerate(groups):
        for place, end in enumerate(ends):
            name = f"g{number}-{place}" + ("-above" if end == "upstream_failed" else "")
            bench.end(held[name], OUTCOMES[end])

    found = bench.engine.reading.snapshot("r").tasks
    for number, ends in enumerate(groups):
        for place, end in enumerate(ends):
            state = "failed" if end == "poisoned" else end
            assert found[f"g{number}-{place}"].state == state
        for rule in TriggerRule:
            state = found[f"g{number}.{rule}"].state
            assert ("runs" if state in RUNS else state) == expected(rule, ends), (rule, ends)


def messages(client: Any) -> Iterator[Held]:
    for packed in client.lrange("p:q:python", 0, -1):
        header = json.loads(packed)["headers"]["pydag"]
        yield Held(header["run"], header["task"], int(header["try"]), header["push"])
