"""What the engine is given of a task's result."""

from __future__ import annotations

import pytest

from workers.errors import TaskFailed
from workers.task import _packed


def test_a_result_is_packed_as_json():
    assert _packed("python.call", (1, {"a": None})) == '[1, {"a": null}]'


def test_no_result_is_an_empty_text():
    assert _packed("python.call", None) == ""


@pytest.mark.parametrize("result", [{1}, float("nan"), object()])
def test_a_result_that_is_not_json_fails_the_task(result):
    with pytest.raises(TaskFailed, match=r"python\.call returned a .* that is not JSON"):
        _packed("python.call", result)
