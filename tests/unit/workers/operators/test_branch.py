"""``branch``: what its function may return, and which tasks that skips."""

from __future__ import annotations

import pytest

from pydag_dist.dag.planning.results import skipped
from tests.unit.workers.support import context
from workers.errors import TaskFailed
from workers.operators import find

# b -> x, y, z; x -> y
BRANCH = {"downstream": ["x", "y", "z"], "reaches": {"x": ["y"], "y": [], "z": []}}


def follow(chosen):
    return chosen


def test_an_id_or_a_list_of_ids_or_nothing_is_followed():
    assert answer("x") == ["x"]
    assert answer(["x", "z"]) == ["x", "z"]
    assert answer(None) == []


def answer(chosen):
    params = {"callable": f"{__name__}:follow", "args": [chosen]}
    task = context(params, settings={"imports": (__name__,)}, branch=BRANCH)
    return find("branch").execute(task)


@pytest.mark.parametrize(
    ("value", "chosen"),
    [
        (True, ["x", "y"]),
        (3, ["x", "y"]),
        ("no", ["x", "y"]),
        (False, ["z"]),
        (None, ["z"]),
        ([], ["z"]),
    ],
)
def test_a_condition_chooses_by_its_value(value, chosen):
    params = {"when": value, "then": ["x", "y"], "else": "z"}
    assert find("branch").execute(context(params)) == chosen
    assert find("branch").execute(context({"when": value, "then": ["x", "y"]})) in (chosen, [])
    followed = ["x", "y", "z"] if value else []
    assert find("branch").execute(context({"when": value}, branch=BRANCH)) == followed


def test_true_follows_all_and_false_none():
    assert answer(True) == ["x", "y", "z"]
    assert answer(False) == []


@pytest.mark.parametrize("chosen", [3, {"x": 1}, [True], ["x", 3], 1.0])
def test_anything_else_fails_the_task(chosen):
    with pytest.raises(TaskFailed, match="a branch returns the id of a task, a list of ids, True"):
        answer(chosen)


def test_what_is_not_followed_is_skipped_unless_a_followed_task_leads_to_it():
    assert skipped(["x"], BRANCH) == ["z"]
    assert skipped(["y"], BRANCH) == ["x", "z"]
    assert skipped(["x", "y", "z"], BRANCH) == []
    assert skipped([], BRANCH) == ["x", "y", "z"]


def test_a_task_that_is_not_downstream_can_not_be_followed():
    with pytest.raises(TaskFailed, match="chose q, which is not among"):
        skipped(["x", "q"], BRANCH)
