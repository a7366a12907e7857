"""The DAGs of examples/semantics end on a real worker as their documents say."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pydag_dist import Dag
from pydag_dist.engine import RunSnapshot
from tests.cluster import ROOT, Cluster
from tests.redis_server import RedisServer

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
            "all_failed": "skipped",
            "one_success": "success",
            "one_failed": "success",
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
}


@pytest.fixture(scope="module")
def played(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, RunSnapshot]]:
    """Every example's run after its end, all run at once by one worker."""
    directory = tmp_path_factory.mktemp("examples")
    with Cluster(redis_server.url, directory) as cluster:
        cluster.coordinator()
        command = ["-m", "pydag_dist", "worker", "-n", "w1@test", "-c", "4", "-Q", "python"]
        worker = cluster.start(
            "w1",
            [*command, "--import", "callables"],
            PYTHONPATH=os.pathsep.join(map(str, (ROOT, EXAMPLES))),
            TMPDIR=str(directory),
        )
        cluster.wait_registered(worker)
        runs = {name: cluster.client.submit(Dag.load(EXAMPLES / f"{name}.json")) for name in ENDS}
        yield {name: cluster.wait_ended(run, timeout=120) for name, run in runs.items()}
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
    too_slow = played["task_timeout"].tasks["too_slow"]
    assert (too_slow.try_number, too_slow.error) == (1, "timed out after 1 s")
    assert played["branches"].tasks["choose"].result == ["load_changes"]
