"""docs/monitoring.md, its alarms and its dashboard name the metrics that there are."""

from __future__ import annotations

import json
import re
from typing import Any

import fakeredis
import promql_parser
import pytest
from prometheus_client.metrics_core import Metric
from ruamel.yaml import YAML

from pydag_dist.coordinator.watching.metrics import Metrics
from pydag_dist.engine import Engine
from pydag_dist.history import Batch
from tests.support.documents import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "monitoring.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
RULES = YAML(typ="safe").load(DOCS / "alarms.yaml")["groups"][0]["rules"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = {rule["alert"]: rule["expr"] for rule in RULES} | {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in PANELS
    for target in panel["targets"]
}


def served() -> dict[str, Metric]:
    client: Any = fakeredis.FakeRedis(decode_responses=True)
    client.info = lambda *_: {"used_memory": 1}  # fakeredis has no INFO
    client.sadd("p:queues", "python")
    client.lpush("p:q:python", '{"run": "r", "task": "t"}')
    times = ("ready_at", "queued_at", "started_at", "ended_at")
    record = "|".join(["ready", *["1"] * 16, *("1" for _ in times), ""])
    client.hset("p:run:r:tasks", "t", f"{record}|")
    metrics = Metrics(Engine(client, "p"))
    row = {"run_id": "r", "dag_id": "d", "state": "success", "ended_at": 2.0, "head": "{}"}
    row["head"] = json.dumps({"dag_id": "d", "state": "success", "round_at": "1000000"})
    tried = {"state": "success", "ready_at": 1.0, "started_at": 1.0, "ended_at": 2.0}
    metrics.written(Batch(runs=[row], tries=[tried]))
    return {metric.name: metric for metric in metrics.registry.collect()}


SERVED = served()
# Name of a series -> its labels.
SERIES = {sample.name: {*sample.labels} for metric in SERVED.values() for sample in metric.samples}


def test_the_page_has_every_metric_with_its_labels() -> None:
    rows = re.findall(r"^\| `([\w…]+)` \|([^|]*)\|", PAGE, re.MULTILINE)
    told = {name: {*re.findall(r"`(\w+)`", labels)} for name, labels in rows if "…" not in name}
    told = {name: labels for name, labels in told.items() if name.startswith("pydag_")}
    kinds = {"counter": "_total", "info": "_info"}
    there = {
        name + kinds.get(metric.type, ""): {
            label for each in metric.samples for label in each.labels if label != "le"
        }
        for name, metric in SERVED.items()
        if not name.startswith("process_")
    }
    assert told == there


def test_the_page_has_every_alarm() -> None:
    assert re.findall(r"^\| `(Pydag\w+)` \|", PAGE, re.MULTILINE) == [r["alert"] for r in RULES]
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in RULES)


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_an_expression_asks_for_series_that_there_are(where: str) -> None:
    """Parsed by Prometheus's own grammar."""
    parsed = promql_parser.parse(EXPRESSIONS[where].replace("$__rate_interval", "5m"))
    selectors: list[promql_parser.VectorSelector] = []
    grouped: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            grouped.update(node.modifier.labels)

    promql_parser.walk(parsed, visit)
    assert selectors
    for selector in selectors:
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels | grouped <= SERIES[selector.name]


def test_panels_stand_beside_each_other() -> None:
    places = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & places
        assert max(x for x, _ in cells) < 24
        places |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len({*ids}) == len(ids)
    [source] = DASHBOARD["templating"]["list"]
    used = {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    assert used == {f"${{{source['name']}}}"}
