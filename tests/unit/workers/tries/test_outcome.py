"""What the engine is given of a task's result."""

from __future__ import annotations

import pytest

from pydag_dist.dag.limits import DEPTH, RESULT_BYTES
from pydag_dist.dag.planning.results import packed
from tests.unit.workers.support import context
from workers.errors import TaskFailed
from workers.tries.outcome import succeeded


def test_a_result_is_packed_as_json():
    assert packed("python.call", (1, {"a": None})) == '[1, {"a": null}]'


def test_no_result_is_an_empty_text():
    assert packed("python.call", None) == ""


@pytest.mark.parametrize(
    ("result", "what"), [({1}, "a set"), (float("nan"), "a float"), (object(), "an object")]
)
def test_a_result_that_is_not_json_fails_the_task(result, what):
    with pytest.raises(TaskFailed, match=rf"python\.call returned {what} that is not JSON"):
        packed("python.call", result)


def test_a_result_as_deep_as_a_file_may_be_is_kept_and_a_deeper_one_fails_the_task():
    def nested(levels: int) -> list:
        return [] if levels == 1 else [nested(levels - 1)]

    assert packed("python.call", nested(DEPTH))
    with pytest.raises(TaskFailed, match=r"python\.call returned what JSON can't say: .*levels"):
        packed("python.call", nested(DEPTH + 1))
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TaskFailed, match="returned a list that is not JSON"):
        packed("python.call", deep)


@pytest.mark.parametrize("result", [{1: "int", "1": "text"}, [{None: 1}], {"a": {(1,): 2}}])
def test_a_key_that_json_would_make_a_text_fails_the_task(result):
    with pytest.raises(TaskFailed, match=r"python\.call returned"):
        packed("python.call", result)


def test_a_result_has_its_limit():
    longest = "x" * (RESULT_BYTES - 2)
    assert len(packed("python.call", longest)) == 65_536

    with pytest.raises(TaskFailed, match=r"returned 65,537 bytes of JSON, and at most 65,536 are"):
        packed("python.call", longest + "x")


def test_a_list_is_counted_for_the_tasks_that_expand_over_it():
    ended = succeeded(context(expanded_by={"each": ["files"]}), {"files": ("a", "b")})

    assert (ended.outcome, ended.expand) == ("success", {"each": 2})


def test_a_result_without_the_list_fails_the_try():
    with pytest.raises(TaskFailed, match="task each is expanded over result, which must be a list"):
        succeeded(context(expanded_by={"each": []}), None)


def test_a_branch_can_be_expanded_over():
    branch = {"downstream": ["x", "y"], "reaches": {"x": [], "y": []}}
    ended = succeeded(context(branch=branch, expanded_by={"x": []}), ["x"])

    assert (ended.skips, ended.expand) == (("y",), {"x": 1})
