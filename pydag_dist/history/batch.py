"""From entries of the engine's history stream to rows of the tables."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from pydag_dist.engine import ENDED_RUN_STATES
from pydag_dist.history import tables

log = logging.getLogger(__name__)

# An entry of the stream: its id and its fields.
Entry = tuple[str, Mapping[str, str]]
Row = dict[str, Any]

DAG_EVENTS = frozenset({"published", "moved", "paused", "unpaused", "unpublished", "missed"})

_SEQUENCE_BITS = 20


@dataclass(frozen=True)
class Batch:
    """Rows to write in one transaction, in the order of their events."""

    dags: list[Row] = field(default_factory=list)
    runs: list[Row] = field(default_factory=list)
    rounds: list[Row] = field(default_factory=list)
    tries: list[Row] = field(default_factory=list)
    dag_events: list[Row] = field(default_factory=list)
    backfill_events: list[Row] = field(default_factory=list)
    run_acts: list[Row] = field(default_factory=list)

    @property
    def ended(self) -> list[str]:
        """The runs whose last event here is their end."""
        last = {row["run_id"]: row["state"] for row in self.runs}
        return [run_id for run_id, state in last.items() if state in ENDED_RUN_STATES]


def event_number(entry_id: str) -> int:
    """A stream entry's id, ``milliseconds-sequence``, as one number that grows with it.

    20 bits for the sequence leave room until the year 2248.
    """
    milliseconds, _, sequence = entry_id.partition("-")
    return (int(milliseconds) << _SEQUENCE_BITS) + int(sequence or 0)


def entry_id(number: int) -> str:
    """The stream entry's id of an `event_number`."""
    return f"{number >> _SEQUENCE_BITS}-{number & ((1 << _SEQUENCE_BITS) - 1)}"


def next_entry_id(entry: str) -> str:
    """The least id that is greater than an entry's."""
    milliseconds, _, sequence = entry.partition("-")
    return f"{milliseconds}-{int(sequence) + 1}"


def runs_in(entries: Iterable[Entry]) -> list[str]:
    """The runs that the entries tell something of, besides their tasks."""
    return list(dict.fromkeys(f["run"] for _, f in entries if f.get("kind") == "run"))


def batch_of(
    entries: Sequence[Entry], heads: Mapping[str, Mapping[str, str]], dags: Mapping[str, str]
) -> Batch:
    """The rows of these entries.

    `heads` are the hashes in Redis, and `dags` the texts, of `runs_in(entries)`; events of a run
    that Redis lost in the meantime have none, and are left out.
    """
    batch = Batch()
    texts = {*dags.values(), *(f["dag"] for _, f in entries if f.get("dag"))}
    hashes = {text: hashlib.sha256(text.encode()).hexdigest() for text in texts}
    ids: dict[str, str] = {}
    tries: dict[tuple[str, str, str], Row] = {}
    for event, fields in entries:
        kind, run_id = fields.get("kind"), fields.get("run", "")
        try:
            if kind == "task":
                row = _try(event_number(event), fields)
                tries[run_id, fields["task"], fields["try"]] = row  # the last event wins
            elif kind == "run" and run_id in heads and run_id in dags:
                dag_hash = hashes[dags[run_id]]
                row = _run(event_number(event), fields, heads[run_id], dag_hash)
                batch.runs.append(row)
                ids[dag_hash] = row["dag_id"]
                if fields.get("dag_hash"):
                    batch.rounds.append(_round(event_number(event), fields))
            elif kind == "dag":  # that of a run's earlier rounds
                ids[hashes[fields["dag"]]] = fields["dag_id"]
            elif kind in {"act", "backfill"}:
                rows, row_of = (
                    (batch.run_acts, _act)
                    if kind == "act"
                    else (batch.backfill_events, _backfill_event)
                )
                rows.append(row_of(event_number(event), fields))
            elif kind in DAG_EVENTS:
                published = hashes[fields["dag"]] if kind == "published" else None
                batch.dag_events.append(_dag_event(event_number(event), fields, published))
                if published:
                    ids[published] = fields["dag_id"]
        except (KeyError, ValueError):  # of another version's engine, or forged
            log.warning("event %s can't be understood, and is left out: %s", event, fields)
    batch.tries.extend(tries.values())
    batch.dags.extend(
        {"hash": found, "dag_id": ids[found], "dag": _text(text)}
        for text, found in hashes.items()
        if found in ids
    )
    return batch


def _round(event: int, fields: Mapping[str, str]) -> Row:
    return {
        "run_id": fields["run"],
        "event": event,
        "at": _seconds(fields["at"]),
        "dag_hash": fields["dag_hash"],
        "from_task": fields.get("from") or None,
        "changed": fields.get("changed") or None,
    }


def _dag_event(event: int, fields: Mapping[str, str], dag_hash: str | None) -> Row:
    told = ("kind", "dag_id", "at", "by", "version", "dag")
    return {
        "dag_id": fields["dag_id"],
        "event": event,
        "at": _seconds(fields["at"]),
        "kind": fields["kind"],
        "who": fields.get("by") or None,
        "version": int(fields["version"]) if dag_hash else None,
        "dag_hash": dag_hash,
        "detail": json.dumps({name: text for name, text in fields.items() if name not in told}),
    }


def _act(event: int, fields: Mapping[str, str]) -> Row:
    return {
        "run_id": fields["run"],
        "event": event,
        "at": _seconds(fields["at"]),
        "act": fields["act"],
        "who": fields["by"],
        "task_id": fields.get("task") or None,
        "state": fields.get("state") or None,
    }


def _backfill_event(event: int, fields: Mapping[str, str]) -> Row:
    flat = json.loads(fields["fields"])
    return {
        "backfill": fields["backfill"],
        "event": event,
        "dag_id": fields["dag_id"],
        "at": _seconds(fields["at"]),
        "kind": fields["change"],
        "who": fields.get("by") or None,
        "detail": json.dumps(dict(zip(flat[::2], flat[1::2], strict=True))),
    }


def _run(event: int, fields: Mapping[str, str], head: Mapping[str, str], dag_hash: str) -> Row:
    ended = fields["state"] in ENDED_RUN_STATES
    # Once the run is planned, its hash has them no longer.
    told = {name: fields[name] for name in ("changed", "marked") if fields.get(name)}
    return {
        "run_id": fields["run"],
        "dag_id": head["dag_id"],
        "dag_hash": dag_hash,
        "state": fields["state"],
        "reason": fields.get("reason") or None,
        "error": _text(fields.get("error")),
        "submitted_at": _seconds(head.get("submitted_at")),
        "started_at": _seconds(head.get("started_at")),
        "ended_at": _seconds(fields["at"]) if ended else None,
        "logical_date": head.get("logical_date") or None,
        "params": _text(head.get("params")),
        "head": json.dumps({**head, **told}),  # escapes what a database may not take
        "event": event,
        "planned": int(fields["state"] != "queued"),
        "version": int(head["version"]) if head.get("version") else None,
        "run_type": head.get("run_type") or None,
        "backfill": head.get("backfill") or None,
    }


def _try(event: int, fields: Mapping[str, str]) -> Row:
    row: Row = {
        "run_id": fields["run"],
        "task_id": fields["task"],
        "try_number": int(fields["try"]),
        "state": fields["state"],
        "event": event,
    }
    for name, converted in _COLUMNS:
        row[name] = converted(fields.get(name))
    row["bytes_billed"] = _billed(fields.get("result") or "")
    return row


def _billed(result: str) -> int | None:
    """The bytes that BigQuery billed, if a result says so."""
    if '"bytes_billed"' not in result:
        return None
    try:
        billed = json.loads(result)["bytes_billed"]
    except (ValueError, LookupError, TypeError):  # in a text of it
        return None
    return billed if isinstance(billed, int) and 0 <= billed < 1 << 62 else None


def _seconds(microseconds: str | None) -> float | None:
    return int(microseconds) / 1e6 if microseconds else None


def _text(value: str | None) -> str | None:
    """What PostgreSQL can store: no text of its may contain a NUL."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if value else None


# How a column is made of what an event says: times are in microseconds there.
_FROM_TEXT: dict[type, Callable[[str | None], Any]] = {
    sa.Double: _seconds,
    sa.Text: _text,
    sa.Integer: lambda value: int(value or 0),
}
# The columns of a try that its event has by their names.
_COLUMNS = [
    (column.name, _FROM_TEXT[type(column.type)])
    for column in tables.tries.c
    if column.nullable and not column.primary_key and type(column.type) in _FROM_TEXT
]
