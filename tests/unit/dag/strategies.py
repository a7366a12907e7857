"""Random DAGs for property tests."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from pydag_dist.dag import TriggerRule

# Of what a regular expression describes each character is a draw of its own: six times the time.
_IN_IDS = string.ascii_letters + string.digits + "_-"
ids = st.builds(str.__add__, st.text(_IN_IDS + ".", max_size=6), st.sampled_from(_IN_IDS))
_TEMPLATES = ("{{", "{%", "{#")  # what begins so may be none that can be read
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
    lambda text: not any(begin in text for begin in _TEMPLATES)
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
_path_parts = st.text(string.ascii_lowercase + string.digits + "_-", min_size=1, max_size=8)
scripts = st.builds(
    "{}.{}.{}.{}.{}".format,
    st.sampled_from(["gcs", "local"]),
    _path_parts,
    st.lists(_path_parts, min_size=1, max_size=3).map("/".join),
    st.sampled_from(["bq", "iac"]),
    _path_parts,
)


@st.composite
def edges(draw, max_tasks=12):
    """Dependencies by task id, acyclic, in an order in which children may come first."""
    names = draw(st.lists(ids, min_size=1, max_size=max_tasks, unique=True))
    dependencies = {name: draw(_some_of(names[:i])) for i, name in enumerate(names)}
    return {name: dependencies[name] for name in draw(st.permutations(names))}


def _some_of(names):
    """Some of the names, as they stand or the other way round: one draw, not one for each name."""
    size = len(names)
    return st.integers(0, 2 ** (size + 1) - 1 if names else 0).map(
        lambda bits: [name for i, name in enumerate(names) if bits >> i & 1][
            :: -1 if bits >> size else 1
        ]
    )


hooks = ids.filter(lambda name: name[0] != ".") | st.sampled_from(
    ["http://h", "https://example.org:8080/hook?token=x"]
)


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
        "timeout": st.none() | st.floats(0.1, 10**7),
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
        "schedule_interval": st.sampled_from(["", "@daily", "*/5 2-4 * JAN,7 MON#1"])
        | st.floats(1, 10**7)
        | st.integers(1, 10**7),
        "timezone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
        "start_date": st.sampled_from(["", "2026-01-31"]),
        "end_date": st.sampled_from(["", "2199-01-31T06:30", "2030-01-31 06:30:15.5Z"]),
        "catchup": st.booleans(),
        "max_active_runs": st.integers(1, 1000),
        "processors": st.integers(0, 100_000),
        "weight": st.floats(0.001, 1000),
        "timeout": st.none() | st.floats(0.1, 10**7),
        "params": st.dictionaries(texts, json_values, max_size=3),
        "on_success": st.lists(hooks, max_size=5) | hooks,
        "on_failure": st.lists(hooks, max_size=5) | hooks,
        "retries": st.integers(0, 100),
        "script_cache": st.booleans(),
        "expire_cache": st.integers(0, 10**8),
    },
)


@st.composite
def templates(draw, upstream, expanded):
    """A template that a task may have."""
    names = ["ds", "params.day", "params['a b'] | default(1)", "task_id ~ try_number"]
    names += [f"tasks['{name}'].result" for name in upstream]
    names += ["item.name", "index + 1"] if expanded else []
    return f"{draw(texts).replace('{', '')} {{{{ {draw(st.sampled_from(names))} }}}}"


@st.composite
def tasks(draw, task_id, dependencies, downstream, may_expand):
    raw = {"task_id": task_id, "dependencies": dependencies, **draw(task_fields)}
    if may_expand and draw(st.booleans()):
        path = draw(st.sampled_from(["", ".files", "['a b'][0]"]))
        raw["expand"] = {"over": f"tasks['{draw(st.sampled_from(may_expand))}'].result{path}"}
    values = json_values | templates(dependencies, "expand" in raw)
    if draw(st.booleans()):
        return raw | {
            "script": draw(scripts),
            "params": draw(st.dictionaries(_param_names, values)),
        }
    if downstream and "expand" not in raw and draw(st.booleans()):
        when = {
            "when": draw(st.sampled_from(["params.n > 1", "ds == '2026-01-31'", "not true"])),
            "then": draw(st.sampled_from(downstream)),
            "else": draw(st.lists(st.sampled_from(downstream))),
        }
        return raw | {"operator": "branch", "params": draw(st.sampled_from([when, CHOOSE]))}
    if draw(st.booleans()):
        cached = {"cache": "inputs", "cache_seconds": draw(st.floats(0.001, 10**7))}
        return raw | {"operator": "gcs.copy", "params": COPY} | draw(st.sampled_from([{}, cached]))
    call = {"callable": "steps:run", "args": draw(st.lists(values, max_size=3))}
    return raw | {"operator": "python.call", "params": call}


_param_names = texts.filter(lambda text: not text.startswith("**"))
COPY = {"source": "gs://a/b", "destination": "gs://a/c"}
CHOOSE = {"callable": "steps:choose", "args": [1]}


@st.composite
def dags(draw):
    """A DAG in our own form, as a dict."""
    graph = draw(edges(max_tasks=6))
    downstream = {
        name: [child for child, upstream in graph.items() if name in upstream] for name in graph
    }
    # Only leaves expand, so that none does over another; "a.0" could be a child's id.
    dotted = any("." in name for name in graph)
    made = [
        draw(tasks(name, dependencies, below, [] if below or dotted else dependencies))
        for (name, dependencies), below in zip(graph.items(), downstream.values(), strict=True)
    ]
    return draw(dag_fields) | {"tasks": made}
