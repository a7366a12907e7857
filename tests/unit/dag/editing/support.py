"""DAG files in many styles, and random edits of any JSON with what they should make of it."""

from __future__ import annotations

import copy
import json

from tests.support.documents import ROOT


def _readable(file):
    try:
        return json.loads(file.read_bytes().decode("utf-8-sig"), parse_constant=int)  # no NaN
    except (ValueError, RecursionError):
        return None


FILES = sorted(
    file
    for folder in ("examples", "tests/unit/dag")
    for file in (ROOT / folder).rglob("*.json")
    if _readable(file) is not None
)


def styles(text):
    """The text as it is, and its value in five other styles."""
    value = json.loads(text.removeprefix("\ufeff"))
    spaced = json.dumps(value, indent=2, ensure_ascii=False)
    return [
        text,
        json.dumps(value, separators=(",", ":")),
        f"{spaced}\n",
        json.dumps(value, indent=4),
        json.dumps(value, indent="\t", ensure_ascii=False),
        "\ufeff" + spaced.replace("\n", "\r\n") + "\r\n",
    ]


def text_of(file):
    return file.read_bytes().decode()  # no line end is changed


VALUES = [
    3,
    3.0,
    True,
    None,
    "",
    'x "q" ü \u2028 \\',
    "it's\nmany\tlines \U0001f600",
    [],
    {},
    ["a", "b"],
    {"k": 1, "z": {"y": [1, {"n": None}]}},
    {
        "task_id": "new_task_with_a_long_name",
        "operator": "bigquery.query",
        "params": {"sql": "SELECT * FROM `p.d.t` AS t", "parameters": {"day": "{{ ds }}"}},
        "dependencies": ["a"],
    },
]  # fmt: skip


def nodes(value, path=()):
    """Each value within a value, with its path."""
    yield value, path
    pairs = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else pairs:
        yield from nodes(inner, (*path, key))


def random_edit(value, random):
    """The path of what is changed, and the whole value after it; by code that knows no texts."""
    made = copy.deepcopy(value)
    target, path = random.choice(list(nodes(made)))
    new, kind = random.choice(VALUES), random.random()
    if isinstance(target, list) and kind < 0.5:
        target.insert(random.randint(0, len(target)), new)
        return path, made
    if isinstance(target, dict) and kind < 0.5:
        target["zz_new"] = new
        return path, made
    if isinstance(target, list | dict) and target and kind < 0.8:
        key = random.choice(list(target) if isinstance(target, dict) else range(len(target)))
        del target[key]
        return path, made
    if not path:
        return path, new if isinstance(new, dict) else made
    parent = made
    for step in path[:-1]:
        parent = parent[step]
    if isinstance(target, str) and kind < 0.9:
        at = random.randint(0, len(target))
        new = target[:at] + random.choice(["x", "é", "\n", "'", '"', ""]) + target[at + 1 :]
    parent[path[-1]] = new
    return path, made
