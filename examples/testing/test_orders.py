"""Tests of DAGs of these examples, by `pytest examples/testing`: see docs/testing.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydag_dist import Dag
from pydag_dist.testing import Call, after, play

EXAMPLES = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("rows", "runs", "rests"), [(3, "add", "nothing_new"), (0, "nothing_new", "add")]
)
def test_new_orders_are_added_only_if_there_are_some(rows, runs, rests):
    dag = Dag.load(EXAMPLES / "branches" / "orders.json")

    run = play(dag, {"new": {"rows": rows}, "bigquery.query": None}, logical_date="2026-01-31")

    assert run.state == "success"
    assert (run.states[runs], run.states[rests]) == ("success", "skipped")
    assert run.tasks["new"].params["parameters"]["day"]["value"] == "2026-01-31"
    assert "DATE '2026-01-31'" in run.tasks["noted"].params["sql"]


def test_the_files_of_a_day_are_loaded_however_late_they_are():
    dag = Dag.load(EXAMPLES / "files" / "inbox.json")
    objects = ["gs://bucket/inbox/2026-01-31/a.csv", "gs://bucket/inbox/2026-01-31/b.csv"]

    def copy(call: Call) -> dict:
        assert call.params["source"] in objects
        return {"copied": 1}

    run = play(
        dag,
        {
            "arrived": after(3000, {"objects": objects}),  # fifty minutes, which nobody waits for
            "keep": copy,
            "whole": {"destination": "gs://bucket/whole/2026-01-31.csv"},
            "load": None,
            "empty": None,
        },
        params={"bucket": "bucket"},
        logical_date="2026-01-31",
    )

    assert run.state == "success"
    assert run.seconds == 3000
    assert run.order == ["arrived", "keep.0", "keep.1", "whole", "load", "empty"]
    assert run.tasks["load"].params["source_uris"] == ["gs://bucket/whole/2026-01-31.csv"]


def test_without_files_nothing_is_deleted():
    dag = Dag.load(EXAMPLES / "files" / "inbox.json")

    run = play(dag, {"arrived": after(4000), "*": None})

    assert run.state == "failed"
    assert run.tasks["arrived"].error == "timeout"
    assert run.states["empty"] == "upstream_failed"


def test_each_country_has_a_run_of_its_own():
    day = Dag.load(EXAMPLES / "chained" / "day.json")
    orders = Dag.load(EXAMPLES / "chained" / "orders.json")

    def load(call: Call) -> dict:
        assert call.params["parameters"]["day"] == "2026-01-31"
        if call.params["parameters"]["country"] == "pe":
            raise RuntimeError("no orders came from Peru")
        return {"rows": 100}

    run = play(
        day,
        {"shop_orders/load": load, "all_orders": None},
        dags=[orders],
        logical_date="2026-01-31",
    )

    assert run.state == "failed"
    assert run.tasks["orders.0"].result["results"] == {"load": {"rows": 100}}
    assert run.tasks["orders.1"].run.tasks["load"].error == "RuntimeError: no orders came from Peru"
    assert run.states["all_orders"] == "upstream_failed"
