"""What a run of the engine did stands in for its operators."""

from __future__ import annotations

import json

import pytest
import redis
from click.testing import CliRunner

from pydag_dist.cli import pydag
from pydag_dist.errors import PydagError
from pydag_dist.testing import play, recorded
from tests.support.cluster import dag
from tests.support.engine_bench import Bench, task

TASKS = (
    task("list"),
    task("each", "list", expand={"over": "tasks.list.result"}),
    task("skips", "each"),
    task("fails", retries=3),
    task("below", "fails"),
)


@pytest.fixture
def status(connection: redis.Redis) -> dict:
    """What the command line says of a run in which all kinds of ends are."""
    bench = Bench(connection)
    bench.slots(10)
    bench.start(*TASKS)
    first = {held.task: held for held in (bench.take(), bench.take())}
    bench.end(first["fails"], "final", error="no")
    bench.end(first["list"], result="[1, 2]", expand={"each": 2})
    for _ in range(2):
        bench.end(bench.take(), result='{"rows": 1}')
    bench.end(bench.take(), "skipped", error="so")
    env = {"PYDAG_KEY_PREFIX": "p"}
    return json.loads(CliRunner().invoke(pydag, ["status", "r", "--json"], env=env).stdout)


def test_a_run_is_played_as_it_was(status: dict) -> None:
    run = play(dag(list(TASKS)), recorded(status))

    assert (run.state, run.states) == (
        status["state"],
        {name: each["state"] for name, each in status["tasks"].items()},
    )
    assert run.tasks["each"].result == [{"rows": 1}] * 2
    assert (run.tasks["fails"].error, run.tasks["skips"].error) == ("not repeated: no", "so")
    assert run.seconds > 0


def test_what_did_not_run_then_fails_now(status: dict) -> None:
    given = recorded(status)

    more = play(dag(list(TASKS)), given | {"list": [1, 2, 3], "fails": None})

    assert more.states["each.2"] == more.states["below"] == "failed"
    assert "it did not run when this was recorded" in more.tasks["below"].error


def test_anything_else_is_refused() -> None:
    with pytest.raises(PydagError, match="takes the object that `pydag status RUN --json` prints"):
        recorded({"sales": 3})
