"""Random DAGs."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pydag_dist.dag.fields import TriggerRule

QUEUES = ("bigquery", "python")
OPERATORS = (
    {"operator": "python.call", "params": {"callable": "m:f"}},
    {"operator": "bigquery.query", "params": {"sql": "SELECT 1"}},
    {"operator": "bigquery.wait_table", "params": {"table": "p.ds.t"}},
)
RULES = sorted(TriggerRule)

# s of a try. Only a rule that says so lets one time out: a try may last for the longest step, since
# before the first tick nothing is cut off, and for many short ones.
TIMEOUT = 86_400


@st.composite
def dags(draw: st.DrawFn, max_tasks: int = 10) -> dict[str, dict[str, Any]]:
    """Task id -> its fields in a DAG file, parents first."""
    tasks: dict[str, dict[str, Any]] = {}
    for i in range(draw(st.integers(1, max_tasks))):
        parents = draw(st.sets(st.sampled_from(sorted(tasks)), max_size=3)) if tasks else set()
        plain = draw(st.booleans())
        setups = {task.get("teardown_of") for task in tasks.values()}
        lists = sorted(t for t in parents if "expand" not in tasks[t] and t not in setups)
        expands = bool(lists) and draw(st.integers(0, 3)) == 0
        known = not expands and draw(st.integers(0, 5)) == 0
        tasks[f"t{i:02}"] = {
            **(
                {"expand": {"over": f"tasks.{draw(st.sampled_from(lists))}.result"}}
                if expands
                else {}
            ),
            **({"expand": {"over": list(range(draw(st.integers(0, 3))))}} if known else {}),
            "task_id": f"t{i:02}",
            **draw(st.sampled_from(OPERATORS)),
            "dependencies": sorted(parents),
            "queue": draw(st.sampled_from(QUEUES)),
            "trigger_rule": "all_success" if plain else draw(st.sampled_from(RULES)),
            "retries": draw(st.sampled_from([0, 0, 1, 2])),
            "retry_backoff": draw(st.booleans()),
            "allow_failure": draw(st.integers(0, 4)) == 0,
            "timeout": TIMEOUT,
        }
        setups = sorted(t for t in parents if may_be_setup(tasks, t))
        if setups and not expands and not known and draw(st.integers(0, 2)) == 0:
            tasks[f"t{i:02}"]["teardown_of"] = draw(st.sampled_from(setups))
            tasks[f"t{i:02}"]["trigger_rule"] = "all_success"
    above = {parent for task in tasks.values() for parent in task["dependencies"]}
    for name, task in tasks.items():
        setups = {other.get("teardown_of") for other in tasks.values()}
        is_free = name not in setups and "teardown_of" not in task and "expand" not in task
        if name in above and is_free and draw(st.integers(0, 3)) == 0:
            task |= {"operator": "branch", "params": {"callable": "m:f"}}
    return tasks


def may_be_setup(tasks: dict[str, dict[str, Any]], name: str) -> bool:
    over = [task["expand"]["over"] for task in tasks.values() if "expand" in task]
    task = tasks[name]
    return not ("expand" in task or "teardown_of" in task or f"tasks.{name}.result" in over)
