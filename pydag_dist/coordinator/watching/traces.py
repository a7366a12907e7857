"""Runs that have ended as traces of OpenTelemetry: a span for a run and for each of its tries.

All ids are made of those of run, task and try: what is sent twice is the same span.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from pydag_dist.coordinator.watching.outbox import ERROR, lean
from pydag_dist.dag import Dag
from pydag_dist.engine.snapshot import RunHead, head_fields
from pydag_dist.history import Batch, HistoryReader, Row

HEADERS: Final = {"Content-Type": "application/x-protobuf"}
SPANS: Final = 2_000  # of one request
LINKS: Final = 128  # of a span, as OpenTelemetry has it by default

_SCOPE: Final = InstrumentationScope("pydag_dist", version("pydag-dist"))


class Traces:
    """Makes requests of OTLP over HTTP of runs."""

    def __init__(self, history: HistoryReader, service: str) -> None:
        self._history = history
        self._resource = Resource.create({"service.name": service})

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
        spans = [self._run(row, run)]
        # What earlier rounds have run was told at their ends.
        since = run.round_at or row.started_at or 0.0
        tries = [each for each in self._history.all_tries(run_id) if each.started_at is not None]
        links = _Links(run_id, Dag.stored(text, source=run_id), tries)
        for each in tries:
            if each.ended_at is not None and since <= each.ended_at <= row.ended_at:
                spans.append(self._try(row, run, each, links.of(each.task_id)))
            if len(spans) == SPANS:
                yield _request(spans)
                spans = []
        if spans:
            yield _request(spans)

    def _run(self, row: Any, run: RunHead) -> ReadableSpan:
        about = {
            "pydag.dag_id": row.dag_id,
            "pydag.run_id": row.run_id,
            "pydag.state": row.state,
            "pydag.round": run.rounds,
            "pydag.run_type": run.run_type,
            "pydag.version": run.version,
            "pydag.logical_date": row.logical_date,
        }
        begin = run.round_at or row.started_at or run.submitted_at or row.ended_at
        context = _context(row.run_id, f"{run.rounds}")
        return self._span(row, context, about, (begin, row.ended_at))

    def _try(self, row: Any, run: RunHead, each: Row, links: Sequence[Link]) -> ReadableSpan:
        about = {
            "pydag.dag_id": row.dag_id,
            "pydag.run_id": row.run_id,
            "pydag.task_id": each.task_id,
            "pydag.try_number": each.try_number,
            "pydag.state": each.state,
            "pydag.worker": each.worker,
            "pydag.bytes_billed": each.bytes_billed,
            "pydag.waited_seconds": each.ready_at and each.started_at - each.ready_at,
        }
        context = _context(row.run_id, f"{each.task_id}/{each.try_number}")
        parent = _context(row.run_id, f"{run.rounds}")
        times = each.started_at, each.ended_at
        return self._span(each, context, about, times, parent=parent, links=links)

    def _span(
        self,
        row: Any,
        context: SpanContext,
        about: Mapping[str, Any],
        times: tuple[float, float],
        **rest: Any,
    ) -> ReadableSpan:
        ended_well = row.state in {"success", "skipped"}
        error = (row.error or row.state)[:ERROR]
        return ReadableSpan(
            about.get("pydag.task_id") or row.dag_id,
            context,
            resource=self._resource,
            attributes={key: value for key, value in about.items() if value is not None},
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.OK) if ended_well else Status(StatusCode.ERROR, error),
            start_time=round(times[0] * 1e9),
            end_time=round(max(times) * 1e9),
            instrumentation_scope=_SCOPE,
            **rest,
        )


class _Links:
    """Links to the tries that others waited for."""

    def __init__(self, run_id: str, dag: Dag, tries: Sequence[Row]) -> None:
        self._run_id = run_id
        self._upstream = dag.waits_for()
        self._newest = {each.task_id: each.try_number for each in tries}
        self._children: dict[str, list[str]] = {}
        for name in self._newest:
            parent, _, number = name.rpartition(".")
            if number.isdigit() and name not in self._upstream:
                self._children.setdefault(parent, []).append(name)

    def of(self, task: str) -> list[Link]:
        """Of a task; a child waits for what its parent waits for, and others for all children."""
        known = task if task in self._upstream else task.rpartition(".")[0]
        names = [
            name
            for above in self._upstream.get(known, ())
            for name in ([above] if above in self._newest else self._children.get(above, []))
        ]
        made = (_context(self._run_id, f"{name}/{self._newest[name]}") for name in names[:LINKS])
        return [Link(context) for context in made]


def _context(run_id: str, of: str) -> SpanContext:
    trace = int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:16])
    span = int.from_bytes(hashlib.sha256(f"{run_id}/{of}".encode()).digest()[:8])
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace, span, is_remote=False, trace_flags=flags, trace_state=TraceState())


def _request(spans: Iterable[ReadableSpan]) -> bytes:
    made: bytes = encode_spans(list(spans)).SerializeToString()
    return made
