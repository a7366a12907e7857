"""One installation that is watched by all means: metrics, traces and lineage, over the wire."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import attr
import pytest
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    error_message_run,
    job_type_job,
    nominal_time_run,
    parent_run,
    processing_engine_run,
)
from openlineage.client.generated.base import InputDataset, OutputDataset
from openlineage.client.serde import Serde
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from pydag_dist.engine import RunSnapshot
from tests.support import wait_until
from tests.support.cluster import Cluster, call, dag
from tests.support.collector import Collector
from tests.support.redis_server import RedisServer

FACETS = {
    "parent": parent_run.ParentRunFacet,
    "processing_engine": processing_engine_run.ProcessingEngineRunFacet,
    "errorMessage": error_message_run.ErrorMessageRunFacet,
    "nominalTime": nominal_time_run.NominalTimeRunFacet,
}


@dataclass(frozen=True)
class Watched:
    """What was told of a run that failed and was resumed, and of all its spans and events."""

    run: RunSnapshot
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]
    spans: list[Any]
    resource: dict[str, str]
    events: list[dict[str, Any]]


@pytest.fixture(scope="module")
def watched(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    directory = tmp_path_factory.mktemp("watched")
    with (
        Cluster(redis_server.url, directory) as cluster,
        Collector(statuses=(503,)) as traces,
        Collector() as lineage,
    ):
        coordinator = cluster.coordinator(
            NO_PROXY="*",
            PYDAG_METRICS="0",
            PYDAG_TRACES_URL=f"{traces.url}/v1/traces",
            OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20b",
            PYDAG_LINEAGE_URL=f"{lineage.url}/api/v1/lineage",
            OPENLINEAGE_API_KEY="T0KEN",
        )
        cluster.worker()
        run = cluster.client.submit(dag(graph(cluster.journal.path)), logical_date="2026-01-31")
        cluster.wait_ended(run)
        wait_until(lambda: len(spans_of(traces)[0]) == 4, "the first round is told", 30)
        run.resume()
        snapshot = cluster.wait_ended(run)
        wait_until(lambda: len(spans_of(traces)[0]) == 9, "all spans are there", 30)
        wait_until(lambda: len(events_of(lineage)) == 6, "all events are there", 30)
        url = coordinator.text().partition("metrics are at ")[2].split()[0]
        with urllib.request.urlopen(url) as answer:
            text = answer.read().decode()
        samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert {each.path for each in traces.taken} == {"/v1/traces"}
        assert traces.taken[0].headers["x-key"] == "a b"
        assert lineage.taken[0].headers["authorization"] == "Bearer T0KEN"
        assert "T0KEN" not in coordinator.text()
        yield Watched(snapshot, samples, *spans_of(traces), events_of(lineage))


def graph(journal: Path) -> list[dict[str, Any]]:
    """Of these the first round fails: `flaky` has two tries, and needs a third one."""
    return [
        call("list", "reads_and_writes", reads=["p.d.orders", "gs://b/in/*.csv"], writes=["p.d.t"]),
        call("flaky", "succeed_at", after=["list"], journal=str(journal), number=3)
        | {"retries": 1, "retry_delay": 0.001},
        call("each", "note", after=["flaky"], journal=str(journal)) | {"expand": {"over": [1, 2]}},
        call("last", "note", after=["each"], journal=str(journal)),
    ]


def spans_of(collector: Collector) -> tuple[list[Any], dict[str, str]]:
    spans, resource = [], {}
    for each in collector.taken:
        request = ExportTraceServiceRequest.FromString(each.body)
        for of in request.resource_spans:
            resource = {pair.key: pair.value.string_value for pair in of.resource.attributes}
            spans += [span for scope in of.scope_spans for span in scope.spans]
    return spans, resource


def events_of(collector: Collector) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in collector.taken]


def about(span: Any) -> dict[str, Any]:
    values = ((pair.key, pair.value) for pair in span.attributes)
    return {key: getattr(value, value.WhichOneof("value")) for key, value in values}


def test_a_run_is_a_trace_with_a_span_for_each_try(watched: Watched) -> None:
    assert watched.resource["service.name"].startswith("test")
    assert len({span.trace_id for span in watched.spans}) == 1
    rounds = {about(s)["pydag.round"]: s for s in watched.spans if not s.parent_span_id}
    assert [rounds[number].name for number in (1, 2)] == ["test", "test"]
    assert [rounds[number].status.code for number in (1, 2)] == [2, 1]  # error, ok
    tries = {(s.name, about(s)["pydag.try_number"]): s for s in watched.spans if s.parent_span_id}
    assert sorted(tries) == [
        *(("each.0", 1), ("each.1", 1)),
        *(("flaky", 1), ("flaky", 2), ("flaky", 3)),
        *(("last", 1), ("list", 1)),
    ]
    first, second = rounds[1].span_id, rounds[2].span_id
    assert tries["list", 1].parent_span_id == tries["flaky", 2].parent_span_id == first
    assert tries["flaky", 3].parent_span_id == tries["last", 1].parent_span_id == second
    assert "not yet" in tries["flaky", 1].status.message
    row = watched.run.tasks["last"]
    assert (row.started_at, row.ended_at) == pytest.approx(
        (tries["last", 1].start_time_unix_nano / 1e9, tries["last", 1].end_time_unix_nano / 1e9)
    )


def test_links_are_the_tries_that_were_waited_for(watched: Watched) -> None:
    tries = {(s.name, about(s).get("pydag.try_number")): s for s in watched.spans}

    def linked(name: str, number: int) -> list[bytes]:
        return [link.span_id for link in tries[name, number].links]

    assert linked("list", 1) == []
    assert linked("flaky", 3) == [tries["list", 1].span_id]
    assert linked("each.1", 1) == [tries["flaky", 3].span_id]
    assert sorted(linked("last", 1)) == sorted(
        [tries["each.0", 1].span_id, tries["each.1", 1].span_id]
    )


def test_events_are_those_of_the_official_client(watched: Watched) -> None:
    """Made by its classes, which check their values, of what was sent, they are the same."""
    for event in watched.events:
        facets = {name: made(FACETS[name], f) for name, f in event["run"]["facets"].items()}
        job = event["job"]
        kind = made(job_type_job.JobTypeJobFacet, job["facets"]["jobType"])
        rebuilt = RunEvent(
            eventTime=event["eventTime"],
            producer=event["producer"],
            eventType=RunState[event["eventType"]],
            run=Run(runId=event["run"]["runId"], facets=facets),
            job=Job(namespace=job["namespace"], name=job["name"], facets={"jobType": kind}),
            inputs=[InputDataset(each["namespace"], each["name"]) for each in event["inputs"]],
            outputs=[OutputDataset(each["namespace"], each["name"]) for each in event["outputs"]],
        )
        assert without_empty(Serde.to_dict(rebuilt)) == without_empty(event)


def made(kind: Any, facet: dict[str, Any]) -> Any:
    given = {name.lstrip("_"): value for name, value in facet.items() if name != "_schemaURL"}
    if kind is parent_run.ParentRunFacet:
        given["run"] = parent_run.Run(**given["run"])
        given["job"] = parent_run.Job(**given["job"])
    found = kind(**given)
    assert found._schemaURL == facet["_schemaURL"]
    assert {a.name for a in attr.fields(kind)} >= {*facet}
    return found


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        found = {name: without_empty(each) for name, each in value.items()}
        return {name: each for name, each in found.items() if each not in ({}, [], None)}
    return [without_empty(each) for each in value] if isinstance(value, list) else value


def test_lineage_tells_of_runs_and_of_tasks_that_move_data(watched: Watched) -> None:
    told = [(event["job"]["name"], event["eventType"]) for event in watched.events]
    assert told == [
        *(("test", "START"), ("test.list", "START"), ("test.list", "COMPLETE"), ("test", "FAIL")),
        *(("test", "START"), ("test", "COMPLETE")),
    ]
    assert {UUID(event["run"]["runId"]).version for event in watched.events} == {5}
    first, of_task, _, failed, second, ended = watched.events
    assert first["run"]["runId"] == failed["run"]["runId"] != second["run"]["runId"]
    assert second["run"]["runId"] == ended["run"]["runId"]
    assert of_task["run"]["facets"]["parent"]["run"]["runId"] == first["run"]["runId"]
    assert first["run"]["facets"]["nominalTime"]["nominalStartTime"].startswith("2026-01-31")
    named = [(each["namespace"], each["name"]) for each in of_task["inputs"]]
    assert named == [("bigquery", "p.d.orders"), ("gs://b", "in/*.csv")]
    assert [each["name"] for each in of_task["outputs"]] == ["p.d.t"]


def test_metrics_count_what_happened(watched: Watched) -> None:
    def value(name: str, **labels: str) -> float:
        return watched.samples[name, frozenset(labels.items())]

    assert value("pydag_redis_up") == 1
    assert value("pydag_workers") == 1
    assert value("pydag_queue_slots", queue="python") == 2
    assert value("pydag_runs_total", dag="test", state="failed") == 1
    assert value("pydag_runs_total", dag="test", state="success") == 1
    assert value("pydag_tries_total", state="up_for_retry") == 1
    assert value("pydag_hop_seconds_count") == 7
    assert value("pydag_history_events") == 0
