"""Runs that have ended as traces of OpenTelemetry: a span for a run and for each of its tries.

All ids are made of those of run, task and try: what is sent twice is the same span.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from pydag_dist.coordinator.watching.outbox import ERROR, lean
from pydag_dist.dag import Dag
from pydag_dist.engine.head import RunHead, head_fields
from pydag_dist.history import Batch, HistoryReader, Row

HEADERS: Final = {"Content-Type": "application/x-protobuf"}
SPANS: Final = 2_000  # of one request
LINKS: Final = 128  # of a span, as OpenTelemetry has it by default

_OK: Final = Status(code=Status.STATUS_CODE_OK)
_SCOPE: Final = InstrumentationScope(name="pydag_dist", version=version("pydag-dist"))


class Traces:
    """Makes requests of OTLP over HTTP of runs."""

    def __init__(self, history: HistoryReader, service: str) -> None:
        self._history = history
        self._resource = Resource(attributes=_attributes({"service.name": service}))

    @staticmethod
    def chosen(batch: Batch) -> list[dict[str, Any]]:
        """The ends of runs; by the time that they are told a run may go on again."""
        return [lean(row) for row in batch.runs if row["ended_at"] is not None]

    def bodies(self, ended: Mapping[str, Any]) -> Iterator[bytes]:
        """The requests that tell of a round that has ended so, and of its tries."""
        row = SimpleNamespace(**ended)
        run_id, text = row.run_id, self._history.submitted_dag(row.run_id)
        if text is None:
            return
        run = RunHead(**head_fields(run_id, json.loads(row.head)))
        if run.round_at is not None and run.round_at > row.ended_at:
            return  # resumed before its end was written: nobody knows that round's beginning
        made = _Spans(row, run)
        spans = [made.of_run()]
        # What earlier rounds have run was told at their ends.
        since = run.round_at or row.started_at or 0.0
        tries = [each for each in self._history.all_tries(run_id) if each.started_at is not None]
        links = _Links(made, Dag.stored(text, source=run_id), tries)
        for each in tries:
            if each.ended_at is not None and since <= each.ended_at <= row.ended_at:
                spans.append(made.of_try(each, links.of(each.task_id)))
            if len(spans) == SPANS:
                yield self._request(spans)
                spans = []
        if spans:
            yield self._request(spans)

    def _request(self, spans: Sequence[Span]) -> bytes:
        of_scope = ScopeSpans(scope=_SCOPE, spans=spans)
        of_resource = ResourceSpans(resource=self._resource, scope_spans=[of_scope])
        made: bytes = ExportTraceServiceRequest(resource_spans=[of_resource]).SerializeToString()
        return made


class _Spans:
    """The spans of a run; what many of them have alike is made once."""

    def __init__(self, row: Any, run: RunHead) -> None:
        self._row, self._run = row, run
        self._trace_id = hashlib.sha256(row.run_id.encode()).digest()[:16]
        self._parent_id = self._id(f"{run.rounds}")
        self._alike = [_attribute("pydag.dag_id", row.dag_id)]
        self._alike.append(_attribute("pydag.run_id", row.run_id))
        self._attribute = cache(_attribute)

    def of_run(self) -> Span:
        """The span of this round of the run."""
        row, run = self._row, self._run
        about = {
            "pydag.state": row.state,
            "pydag.round": run.rounds,
            "pydag.run_type": run.run_type,
            "pydag.version": run.version,
            "pydag.logical_date": row.logical_date,
        }
        begin = run.round_at or row.started_at or run.submitted_at or row.ended_at
        attributes = [*self._alike, *_attributes(about)]
        return self._span(row, row.dag_id, self._parent_id, attributes, (begin, row.ended_at))

    def of_try(self, each: Row, links: Sequence[Span.Link]) -> Span:
        """The span of a try of it."""
        attributes = [
            *self._alike,
            _attribute("pydag.task_id", each.task_id),
            self._attribute("pydag.try_number", each.try_number),
            self._attribute("pydag.state", each.state),
        ]
        if each.worker is not None:
            attributes.append(self._attribute("pydag.worker", each.worker))
        if each.bytes_billed is not None:
            attributes.append(_attribute("pydag.bytes_billed", each.bytes_billed))
        if each.ready_at is not None:
            waited = each.started_at - each.ready_at
            attributes.append(_attribute("pydag.waited_seconds", waited))
        own = self._id(f"{each.task_id}/{each.try_number}")
        times = each.started_at, each.ended_at
        span = self._span(each, each.task_id, own, attributes, times)
        span.parent_span_id = self._parent_id
        span.links.extend(links)
        return span

    def link(self, task: str, try_number: int) -> Span.Link:
        """A link to the span of a try."""
        return Span.Link(trace_id=self._trace_id, span_id=self._id(f"{task}/{try_number}"))

    def _id(self, of: str) -> bytes:
        return hashlib.sha256(f"{self._row.run_id}/{of}".encode()).digest()[:8]

    def _span(
        self,
        row: Any,
        name: str,
        own: bytes,
        attributes: Sequence[KeyValue],
        times: tuple[float, float],
    ) -> Span:
        """A span of what the row tells: its state and its error."""
        status = _OK
        if row.state not in {"success", "skipped"}:
            error = (row.error or row.state)[:ERROR]
            status = Status(code=Status.STATUS_CODE_ERROR, message=error)
        return Span(
            name=name,
            trace_id=self._trace_id,
            span_id=own,
            flags=1,  # sampled
            kind=Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=round(times[0] * 1e9),
            end_time_unix_nano=round(max(times) * 1e9),
            attributes=attributes,
            status=status,
        )


class _Links:
    """Links to the tries that others waited for."""

    def __init__(self, spans: _Spans, dag: Dag, tries: Sequence[Row]) -> None:
        self._spans = spans
        self._upstream = dag.waits_for()
        self._newest = {each.task_id: each.try_number for each in tries}
        self._children: dict[str, list[str]] = {}
        for name in self._newest:
            parent, _, number = name.rpartition(".")
            if number.isdigit() and name not in self._upstream:
                self._children.setdefault(parent, []).append(name)

    def of(self, task: str) -> list[Span.Link]:
        """Of a task; a child waits for what its parent waits for, and others for all children."""
        known = task if task in self._upstream else task.rpartition(".")[0]
        names = [
            name
            for above in self._upstream.get(known, ())
            for name in ([above] if above in self._newest else self._children.get(above, []))
        ]
        return [self._spans.link(name, self._newest[name]) for name in names[:LINKS]]


def _attributes(about: Mapping[str, Any]) -> list[KeyValue]:
    return [_attribute(key, value) for key, value in about.items() if value is not None]


def _attribute(key: str, value: str | float) -> KeyValue:
    return KeyValue(key=key, value=_value(value))


def _value(value: str | float) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)
