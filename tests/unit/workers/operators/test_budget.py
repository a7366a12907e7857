"""A run's budget: taken once a try, settled by what was billed, never overdrawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.workers.support import context
from workers.errors import TaskFailed
from workers.operators.bigquery import budget


@pytest.fixture
def task():
    return context(budget_bytes=100)


def tries(first, task_id, number=1):
    return replace(first, task_id=task_id, try_number=number)


def fails():
    raise AssertionError("nobody asks for it")


def test_without_a_budget_nothing_is_asked_or_kept():
    free = context()
    budget.take(free, fails)
    budget.settle(free, 10)
    assert free.redis.keys() == []


def test_what_is_left_is_what_the_others_have_not_taken(task):
    budget.take(tries(task, "a"), lambda: 60)
    with pytest.raises(TaskFailed, match=r"is 100: .* or started 60, and this .* would bill 41"):
        budget.take(tries(task, "b"), lambda: 41)
    budget.take(tries(task, "b"), lambda: 40)
    with pytest.raises(TaskFailed, match="or started 100, and this query would bill 1"):
        budget.take(tries(task, "c"), lambda: 1)


def test_a_try_that_is_executed_again_has_taken_its_bytes(task):
    budget.take(tries(task, "a"), lambda: 60)
    budget.take(tries(task, "a"), fails)


def test_another_try_takes_in_place_of_the_one_before(task):
    budget.take(tries(task, "a"), lambda: 60)
    budget.take(tries(task, "a", 2), lambda: 90)
    budget.take(tries(task, "b"), lambda: 10)
    with pytest.raises(TaskFailed, match="started 10, and this query would bill 91"):
        budget.take(tries(task, "a", 3), lambda: 91)


def test_what_was_billed_counts_in_place_of_the_estimate(task):
    budget.take(tries(task, "a"), lambda: 60)
    budget.settle(tries(task, "a"), 10)
    budget.take(tries(task, "b"), lambda: 90)
    budget.settle(tries(task, "b"), 95)  # more than estimated, more than the budget
    with pytest.raises(TaskFailed, match="started 105, and this query would bill 0"):
        budget.take(tries(task, "c"), lambda: 0)


def test_runs_have_budgets_of_their_own_that_do_not_stay_for_ever(task):
    budget.take(tries(task, "a"), lambda: 100)
    budget.take(replace(task, run_id="other"), lambda: 100)
    assert all(task.redis.ttl(key) > 0 for key in task.redis.keys("pydag:budget:*"))
