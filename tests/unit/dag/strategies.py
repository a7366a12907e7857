"""Random DAGs for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from pydag_dist.dag import TriggerRule

ids = st.from_regex(r"[A-Za-z0-9_.-]{0,6}[A-Za-z0-9_-]", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
scripts = st.builds(
    "{}.{}.{}.{}.{}".format,
    st.sampled_from(["gcs", "local"]),
    st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True),
    st.from_regex(r"[a-z0-9_-]{1,4}(/[a-z]{1,3}){0,2}", fullmatch=True),
    st.sampled_from(["bq", "iac"]),
    st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
)


@st.composite
def edges(draw, max_tasks=12):
    """Dependencies by task id, acyclic, in an order in which children may come first."""
    names = draw(st.lists(ids, min_size=1, max_size=max_tasks, unique=True))
    dependencies = {
        name: draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else []
        for i, name in enumerate(names)
    }
    return {name: dependencies[name] for name in draw(st.permutations(names))}


def _given(required, optional):
    return st.fixed_dictionaries(required, optional=optional)


task_fields = _given(
    {},
    {
        "queue": ids,
        "trigger_rule": st.sampled_from(TriggerRule),
        "retries": st.integers(0, 100),
        "retry_delay": st.floats(0.001, 1000),
        "retry_backoff": st.booleans(),
        "max_retry_delay": st.floats(1000, 10**7),
        "timeout": st.none() | st.floats(0.001, 10**7),
        "priority": st.integers(-1000, 1000),
        "allow_failure": st.booleans(),
    },
)
dag_fields = _given(
    {"dag_id": ids},
    {
        "description": texts,
        "owner": texts,
        "tags": st.lists(texts, max_size=3),
        "schedule_interval": texts,
        "start_date": texts,
        "processors": st.integers(0, 100_000),
        "weight": st.floats(0.001, 1000),
        "timeout": st.none() | st.floats(0.001, 10**7),
        "params": st.dictionaries(texts, json_values, max_size=3),
        "retries": st.integers(0, 100),
        "script_cache": st.booleans(),
        "expire_cache": st.integers(0, 10**8),
    },
)


@st.composite
def tasks(draw, task_id, dependencies, may_branch):
    raw = {"task_id": task_id, "dependencies": dependencies, **draw(task_fields)}
    if draw(st.booleans()):
        return raw | {
            "script": draw(scripts),
            "params": draw(st.dictionaries(texts.filter(lambda t: t[:2] != "**"), json_values)),
        }
    call = {"callable": "steps:run", "args": draw(st.lists(json_values, max_size=3))}
    operators = ["python.call", "branch"] if may_branch else ["python.call"]
    return raw | {"operator": draw(st.sampled_from(operators)), "params": call}


@st.composite
def dags(draw):
    """A DAG in our own form, as a dict."""
    graph = draw(edges(max_tasks=6))
    inner = {name for dependencies in graph.values() for name in dependencies}
    return draw(dag_fields) | {
        "tasks": [
            draw(tasks(name, dependencies, name in inner)) for name, dependencies in graph.items()
        ]
    }
