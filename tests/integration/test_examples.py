"""The DAGs of examples/semantics end on a real worker as their documents say."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from pydag_dist import Dag
from pydag_dist.engine import RunSnapshot
from tests.support import wait_until
from tests.support.cluster import ROOT, Cluster
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer

EXAMPLES = ROOT / "examples" / "semantics"

# Example -> the end of its run, and of each of its tasks.
ENDS = {
    "retries": (
        "failed",
        {
            "flaky": "success",
            "report": "success",
            "hopeless": "failed",
            "publish": "upstream_failed",
        },
    ),
    "trigger_rules": (
        "success",
        {
            "works": "success",
            "fails": "failed",
            "all_success": "upstream_failed",
            "all_done": "success",
            "all_done_min_one_success": "success",
            "all_failed": "skipped",
            "all_skipped": "skipped",
            "one_success": "success",
            "one_failed": "success",
            "one_done": "success",
            "none_failed": "upstream_failed",
            "none_failed_min_one_success": "upstream_failed",
            "none_skipped": "success",
            "always": "success",
        },
    ),
    "branches": (
        "success",
        {
            "choose": "success",
            "load_all": "skipped",
            "check_all": "skipped",
            "load_changes": "success",
            "publish": "success",
            "notify": "skipped",
        },
    ),
    "skips": (
        "success",
        {
            "choose": "success",
            "taken": "success",
            "not_taken": "skipped",
            "below": "skipped",
            "further_below": "skipped",
            "all_done": "success",
            "all_failed": "skipped",
            "one_success": "success",
            "one_failed": "skipped",
            "none_failed": "success",
            "none_failed_min_one_success": "success",
            "none_skipped": "skipped",
            "all_skipped_one_success": "skipped",
            "all_skipped_none_failed": "success",
            "all_skipped_none_failed_min_one_success": "skipped",
        },
    ),
    "allow_failure": (
        "success",
        {
            "build": "success",
            "lint": "failed",
            "lint_report": "upstream_failed",
            "deploy": "success",
            "summary": "success",
        },
    ),
    "teardown": (
        "failed",
        {
            "create": "success",
            "job_1": "failed",
            "job_2": "success",
            "join": "upstream_failed",
            "delete": "success",
        },
    ),
    "task_timeout": (
        "failed",
        {
            "too_slow": "failed",
            "load": "upstream_failed",
            "page_somebody": "success",
            "other": "success",
        },
    ),
    "run_timeout": (
        "failed",
        {"quick": "success", "too_slow": "cancelled", "never": "cancelled"},
    ),
    "templates": (
        "success",
        {"find": "success", "report": "success", "mistaken": "failed"},
    ),
    "conditions": (
        "success",
        {
            "find": "success",
            "choose": "success",
            "load": "skipped",
            "report": "skipped",
            "wait": "success",
        },
    ),
    "expansion": (
        "success",
        {
            "find": "success",
            "load": "success",
            "load.0": "success",
            "load.1": "success",
            "load.2": "success",
            "total": "success",
            "find_none": "success",
            "load_none": "skipped",
            "find_wrong": "failed",
            "load_wrong": "upstream_failed",
            "of_params": "success",
            "of_params.0": "success",
            "of_params.1": "success",
            "of_file": "success",
            "of_file.0": "success",
            "of_file.1": "success",
            "none": "success",
        },
    ),
    "skip_and_fail": (
        "success",
        {
            "skips": "skipped",
            "below": "skipped",
            "fails": "failed",
            "mistaken": "failed",
            "is_weekday": "success",
            "on_weekdays": "skipped",
        },
    ),
    "webhooks": ("failed", {"publish": "failed"}),
    "late": ("success", {"crunch": "success"}),
}
# Example -> what its run is submitted with.
GIVEN: dict[str, dict[str, Any]] = {
    "templates": {"params": {"country": "cl"}, "logical_date": "2026-01-31"},
    "skip_and_fail": {"logical_date": "2026-01-31"},
}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def played(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver
) -> Iterator[dict[str, RunSnapshot]]:
    """Every example's run after its end, all run at once by one worker."""
    directory = tmp_path_factory.mktemp("examples")
    with Cluster(redis_server.url, directory) as cluster:
        hooks = {"on-call": f"{receiver.url}/hook?token=secret"}
        cluster.coordinator(PYDAG_WEBHOOKS=json.dumps(hooks), NO_PROXY="*")
        command = ["-m", "pydag_dist", "worker", "-n", "w1@test", "-c", "4", "-Q", "python"]
        worker = cluster.start(
            "w1",
            [*command, "--import", "callables"],
            PYTHONPATH=os.pathsep.join(map(str, (ROOT, EXAMPLES))),
            TMPDIR=str(directory),
        )
        cluster.wait_registered(worker)
        runs = {
            name: cluster.client.submit(Dag.load(EXAMPLES / f"{name}.json"), **GIVEN.get(name, {}))
            for name in ENDS
        }
        yield {name: cluster.wait_ended(run) for name, run in runs.items()}
        cluster.assert_nothing_left(runs.values())


@pytest.mark.parametrize("name", ENDS)
def test_an_example_ends_as_documented(played: dict[str, RunSnapshot], name: str) -> None:
    run_state, task_states = ENDS[name]
    run = played[name]
    assert {task: found.state for task, found in run.tasks.items()} == task_states
    assert run.state == run_state


def test_every_example_is_played() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.json")} == set(ENDS)


def test_tries_and_reasons_are_told(played: dict[str, RunSnapshot]) -> None:
    flaky, hopeless = (played["retries"].tasks[task] for task in ("flaky", "hopeless"))
    assert (flaky.try_number, flaky.result, flaky.error) == (3, 3, None)
    assert (hopeless.try_number, hopeless.error) == (2, "RuntimeError: fails on purpose")
    ended = played["skip_and_fail"].tasks
    assert {name: task.error for name, task in ended.items() if task.error} == {
        "skips": "no files of 2026-01-31",
        "fails": "not repeated: nobody knows that country",
        "mistaken": "not repeated: callable 'callables:work' can't be called so: "
        "work() takes from 0 to 1 positional arguments but 2 were given",
    }
    too_slow = played["task_timeout"].tasks["too_slow"]
    assert (too_slow.try_number, too_slow.error) == (1, "timed out after 1 s")
    assert played["branches"].tasks["choose"].result == ["load_changes"]


def test_templates_are_filled(played: dict[str, RunSnapshot]) -> None:
    tasks = played["templates"].tasks
    assert tasks["find"].result["files"] == [f"cl-2026-01-31-{n}.csv" for n in range(3)]
    assert tasks["report"].result == {
        "first": "cl-2026-01-31-0.csv",
        "count": 3,
        "text": "3 files of 2026-01-31, the day before was 2026-01-30",
    }
    assert tasks["mistaken"].error == (
        'params.args[0]: template "{{ tasks.find.result.rows }}": '
        'an object of files, count has no "rows"'
    )


def test_a_child_has_its_item_and_the_task_below_all_results(
    played: dict[str, RunSnapshot],
) -> None:
    tasks = played["expansion"].tasks
    file = tasks["find"].result["files"][2]
    assert tasks["load.2"].result == {"file": file, "rows": 30}
    assert tasks["total"].result == {"rows": 60}
    assert tasks["of_params"].result == [{"country": "pe"}, {"country": "cl"}]
    assert tasks["of_file.1"].result == {"file": "b.csv", "rows": 20}
    assert (tasks["load_none"].result, tasks["none"].result) == (None, {"rows": 0})
    assert tasks["find_wrong"].error == (
        'task load_wrong is expanded over result, which must be a list, not "done"'
    )


def test_a_webhook_is_told(played: dict[str, RunSnapshot], receiver: Receiver) -> None:
    run = played["webhooks"]
    wait_until(lambda: len(receiver.taken) == 2, "the webhook was told of both runs")
    [message] = [each for each in receiver.taken if each["event"] == "ended"]
    assert message == {
        "event": "ended",
        "run_id": run.run_id,
        "dag_id": "webhooks",
        "state": "failed",
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "error": None,
        "failed": 1,
        "failed_tasks": [
            {"task_id": "publish", "try_number": 1, "error": "RuntimeError: fails on purpose"}
        ],
    }


def test_a_late_run_is_told_of(played: dict[str, RunSnapshot], receiver: Receiver) -> None:
    run = played["late"]
    wait_until(lambda: len(receiver.taken) == 2, "the webhook was told of both runs")
    [message] = [each for each in receiver.taken if each["event"] == "late"]
    assert run.expected_at == pytest.approx((run.submitted_at or 0) + 0.5)
    assert (message["run_id"], message["expected_at"]) == (run.run_id, run.expected_at)
