from __future__ import annotations

import json
from dataclasses import replace

from pydag_dist.coordinator.plan import DEFAULT_TIMEOUT, plan_of
from pydag_dist.coordinator.prior_run import PriorRun
from pydag_dist.dag import Dag
from pydag_dist.dag.planning.resuming import ResumeRequest

CALL = {"callable": "steps:run"}


def dag_of(*tasks, **fields):
    """A DAG of (task id, upstream tasks, other fields)."""
    return Dag.parse(
        {
            "dag_id": "test",
            **fields,
            "tasks": [
                {
                    "task_id": task_id,
                    "operator": "python.call",
                    "params": CALL,
                    "dependencies": upstream.split(),
                    **(more[0] if more else {}),
                }
                for task_id, upstream, *more in tasks
            ],
        }
    )


BRANCH = {"operator": "branch"}
CHAIN = dag_of(("a", ""), ("b", "a"), ("c", "b"), ("d", "c"))
FORK = dag_of(("choose", "", BRANCH), ("x", "choose"), ("y", "choose"), ("end", "x y"))


def past(skips=None, from_task="", **states):
    """What is left of tasks that were tried once, or never if they were not to be run."""
    records = {
        task_id: {
            "state": state,
            "reason": "",
            "try": "1",
            "started_at": "5" if state in {"success", "failed"} else "",
            "pushes": "1",
        }
        for task_id, state in states.items()
    }
    return PriorRun(records, skips or {}, ResumeRequest(from_task))


def rows(plan):
    return {row.task: row for row in plan.rows}


def kept(plan):
    return {row.task for row in plan.rows if row.keep}


def tries(plan):
    """The tries of the tasks that may run."""
    return {row.task: row.try_number for row in plan.rows if not row.keep}


def test_a_new_run_begins_with_the_tasks_without_upstream_and_those_that_run_always():
    dag = dag_of(("a", ""), ("b", "a"), ("c", "b", {"trigger_rule": "always"}), ("d", "c"))
    plan = plan_of(dag)

    assert (plan.first, plan.ended, kept(plan)) == (["a", "c"], 0, set())
    assert {row.state for row in plan.rows} == {"none"}
    assert {row.try_number for row in plan.rows} == {1}


def test_a_row_has_what_the_file_says():
    fields = {
        "retries": 3,
        "retry_delay": 5,
        "retry_backoff": True,
        "max_retry_delay": 40,
        "timeout": 90,
        "allow_failure": True,
        "trigger_rule": "one_failed",
        "queue": "large",
    }
    query = {"operator": "bigquery.query", "params": {"sql": "SELECT 1"}}
    found = rows(plan_of(dag_of(("a", ""), ("b", "a", fields), ("q", "", query))))

    assert {name: getattr(found["b"], name) for name in fields if name != "trigger_rule"} == {
        name: value for name, value in fields.items() if name != "trigger_rule"
    }
    assert (found["b"].rule, found["b"].upstream, found["b"].remote) == ("one_failed", 1, False)
    assert (found["a"].retries, found["a"].timeout) == (0, DEFAULT_TIMEOUT)
    assert found["a"].downstream == ("b",)
    assert found["q"].remote


def test_the_dags_retries_are_those_of_its_tasks():
    found = rows(plan_of(dag_of(("a", ""), ("b", "", {"retries": 0}), retries=2)))

    assert (found["a"].retries, found["b"].retries) == (2, 0)


def test_only_a_branchs_worker_learns_what_to_choose_from():
    specs = {task: json.loads(row.spec) for task, row in rows(plan_of(FORK)).items()}

    assert specs["choose"]["branch"] == {"downstream": ["x", "y"], "reaches": {"x": [], "y": []}}
    assert all("branch" not in specs[task] for task in ("x", "y", "end"))


def test_what_succeeded_is_kept_and_what_did_not_is_tried_again():
    plan = plan_of(CHAIN, past(a="success", b="success", c="failed", d="upstream_failed"))

    assert (kept(plan), plan.ended, plan.first) == ({"a", "b"}, 2, ["c"])
    found = rows(plan)
    assert (found["c"].state, found["c"].try_number, found["c"].ok) == ("none", 2, 1)
    assert (found["d"].state, found["d"].try_number, found["d"].ok) == ("none", 1, 0)


def test_a_cancelled_task_that_never_began_keeps_its_try():
    plan = plan_of(CHAIN, past(a="success", b="cancelled", c="cancelled", d="cancelled"))

    assert tries(plan) == {"b": 1, "c": 1, "d": 1}
    assert plan.first == ["b"]
    # Celery would ignore a message whose id is that of one that Flower revoked.
    assert rows(plan)["b"].pushes == 1


def test_a_new_try_has_had_no_messages_and_a_poisoned_one_goes_on_with_its_own():
    left = past(a="failed", b="failed")
    left.records["a"].update(reason="poison", pushes="3")
    found = rows(plan_of(dag_of(("a", ""), ("b", "")), left))
    assert (found["a"].try_number, found["a"].pushes) == (1, 3)
    assert (found["b"].try_number, found["b"].pushes) == (2, 0)


def test_from_a_task_it_and_all_below_it_run_again():
    done = dict.fromkeys(CHAIN.tasks, "success")
    plan = plan_of(CHAIN, past(from_task="b", **done))

    assert (kept(plan), plan.first, plan.ended) == ({"a"}, ["b"], 1)
    assert tries(plan) == {"b": 2, "c": 2, "d": 2}


def test_from_the_first_task_everything_runs_again():
    plan = plan_of(CHAIN, past(from_task="a", **dict.fromkeys(CHAIN.tasks, "success")))

    assert (kept(plan), plan.first, plan.ended) == (set(), ["a"], 0)


def test_what_a_kept_branch_skipped_stays_skipped():
    plan = plan_of(
        FORK,
        past({"choose": ["y"]}, choose="success", x="failed", y="skipped", end="upstream_failed"),
    )

    assert (kept(plan), plan.first, plan.ended) == ({"choose", "y"}, ["x", "end"], 2)
    assert (rows(plan)["end"].ok, rows(plan)["end"].skips) == (0, 1)


def test_a_branch_that_is_chosen_again_decides_anew():
    plan = plan_of(
        FORK,
        past(
            {"choose": ["y"]},
            from_task="choose",
            choose="success",
            x="success",
            y="skipped",
            end="skipped",
        ),
    )

    assert (kept(plan), plan.first) == (set(), ["choose"])
    assert {row.state for row in plan.rows} == {"none"}


def test_a_task_that_was_cancelled_before_its_branch_could_skip_it_is_skipped_now():
    plan = plan_of(
        FORK,
        past({"choose": ["y"]}, choose="success", x="cancelled", y="cancelled", end="cancelled"),
    )

    row = rows(plan)["y"]
    assert (row.state, row.keep, plan.ended) == ("skipped", False, 2)
    assert plan.first == ["x", "end"]


def test_a_task_skipped_by_its_rule_is_decided_anew_if_something_above_it_runs():
    dag = dag_of(("a", ""), ("b", "a", {"trigger_rule": "one_failed"}), ("c", "b"))
    again = plan_of(dag, past(from_task="a", a="success", b="skipped", c="skipped"))
    assert (kept(again), again.first) == (set(), ["a"])

    wide = dag_of(("a", ""), ("bad", ""), ("b", "a", {"trigger_rule": "one_failed"}), ("c", "b"))
    other = plan_of(wide, past(a="success", bad="failed", b="skipped", c="skipped"))
    assert (kept(other), other.first, other.ended) == ({"a", "b", "c"}, ["bad"], 3)


def test_a_skipped_task_runs_if_the_user_goes_on_from_it():
    states = {"choose": "success", "x": "success", "y": "skipped", "end": "skipped"}
    plan = plan_of(FORK, past({"choose": ["y"]}, from_task="y", **states))

    assert kept(plan) == {"choose", "x"}
    assert plan.first == ["y", "end"]
    assert rows(plan)["y"].state == "none"


EXPANDED = dag_of(
    ("list", ""),
    ("each", "list", {"expand": {"over": "tasks.list.result"}}),
    ("beside", "list"),
    ("end", "each"),
)


def states_of_expanded(**states):
    return {"list": "success", "beside": "success"} | {
        name.replace("_", "."): state for name, state in states.items()
    }


def test_a_child_that_failed_runs_again_and_its_siblings_do_not():
    states = states_of_expanded(
        each="failed", each_0="success", each_1="failed", end="upstream_failed"
    )
    plan = plan_of(EXPANDED, past(**states))

    assert kept(plan) == {"list", "beside", "each.0"}
    assert tries(plan) == {"each": 2, "each.1": 2, "end": 1}


def test_from_a_child_it_and_what_is_below_its_task_run_again():
    states = states_of_expanded(each="success", each_0="success", each_1="success", end="success")
    plan = plan_of(EXPANDED, past(from_task="each.1", **states))

    assert kept(plan) == {"list", "beside", "each.0"}
    assert tries(plan) == {"each": 2, "each.1": 2, "end": 2}
    assert plan.first == ["each"]


def test_from_an_expanded_task_all_its_children_run_again():
    states = states_of_expanded(each="success", each_0="success", each_1="success", end="success")
    plan = plan_of(EXPANDED, past(from_task="each", **states))

    assert kept(plan) == {"list", "beside"}
    assert tries(plan) == {"each": 2, "each.0": 2, "each.1": 2, "end": 2}


def test_tasks_are_ranked_by_what_they_and_those_below_took_in_earlier_runs():
    dag = dag_of(("a", ""), ("long", ""), ("b", "a"), ("c", "b"), ("new", ""))

    def by_rank(durations):
        return [row.task for row in sorted(plan_of(dag, durations=durations).rows, key=rank)]

    def rank(row):
        return row.rank

    assert by_rank(None) == ["a", "b", "long", "c", "new"]
    # What is new counts as much as the median: 0.65 s.
    took = {"a": 0.2, "b": 1.0, "c": 0.3, "long": 60.0}
    assert by_rank(took) == ["long", "a", "b", "new", "c"]


def test_what_a_branch_had_skipped_stays_so_though_history_heard_of_the_branch_only():
    dag = dag_of(
        ("choose", "", BRANCH),
        ("x", "choose"),
        ("y", "choose", {"trigger_rule": "none_failed"}),
        ("z", "choose", {"trigger_rule": "always"}),
        ("end", "y"),
    )
    before = past({"choose": ["y", "z"]}, choose="success")
    plan = plan_of(dag, replace(before, restored=True))
    found = rows(plan)
    assert [found[t].state for t in ("choose", "x", "y", "z")] == [
        *("success", "none", "skipped", "none")
    ]
    assert (found["y"].again, found["choose"].keep, plan.ended) == (True, True, 2)
    assert plan.first == ["x", "z", "end"]


def test_a_task_below_a_branch_asks_it():
    found = rows(plan_of(FORK))
    assert [found[t].asks for t in ("choose", "x", "y", "end")] == [0, 1, 1, 0]
    assert [row.branch for row in found.values()] == [True, False, False, False]
    known = plan_of(FORK, past({"choose": ["y"]}, choose="success", x="failed", y="skipped"))
    assert rows(known)["x"].asks == 0


def test_the_most_urgent_tasks_are_decided_first_when_the_run_starts():
    """Beyond 500 the others are decided later, when slots have tasks already."""
    plan = plan_of(dag_of(("a", ""), ("b", ""), ("c", "b"), ("d", "", {"priority": 1})))
    assert plan.first == ["d", "b", "a"]
