"""The tables of the history. Times are epoch seconds by Redis's clock."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

# What is written into a database by another version is read only if this number is the same: that
# of the newest step of `migrations`.
SCHEMA: Final = 6
# What Alembic calls that step, and where it keeps it; databases from before it have no such table.
STEP: Final = f"{SCHEMA:04}"
VERSION_TABLE: Final = "pydag_version"

metadata = sa.MetaData()

# One row: whose database this is. `id` is random. `epoch` is the marker of the Redis whose runs
# are here, and its writer counts `beat` up, so that another installation notices it.
meta = sa.Table(
    "pydag_meta",
    metadata,
    sa.Column("schema", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("epoch", sa.Text),
    sa.Column("beat", sa.BigInteger, nullable=False),
)

# The text of each DAG once, as it was submitted; `hash` is its SHA-256.
dags = sa.Table(
    "pydag_dags",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("dag_id", sa.Text, nullable=False),
    sa.Column("dag", sa.Text, nullable=False),
)

# Who published, paused, unpaused and unpublished a DAG (`kind`), who published the same text from
# another source (`moved`), and which of its due times were `missed`; of `published` the version
# and the hash of its text. `detail` is JSON: what else the engine's event tells.
dag_events = sa.Table(
    "pydag_dag_events",
    metadata,
    sa.Column("dag_id", sa.Text, primary_key=True),
    sa.Column("event", sa.BigInteger, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("who", sa.Text),
    sa.Column("version", sa.Integer),
    sa.Column("dag_hash", sa.Text),
    sa.Column("detail", sa.Text, nullable=False),
)

# Who began, paused, unpaused and cancelled a backfill, and its end (`kind`). `detail` is JSON: its
# hash in Redis as it was then. Of one that has not ended the newest event and its runs tell all.
backfill_events = sa.Table(
    "pydag_backfill_events",
    metadata,
    sa.Column("backfill", sa.Text, primary_key=True),
    sa.Column("event", sa.BigInteger, primary_key=True),
    sa.Column("dag_id", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("who", sa.Text),
    sa.Column("detail", sa.Text, nullable=False),
)

# `head` is the run's hash in Redis, as JSON. `event` is the number of the event that the row is
# from (`batch.event_number`); `planned` is 0 while a run that is new or was resumed waits for a
# planner, else 1. `run_type` is `scheduled`, `backfill` or `manual` of a run of a published DAG,
# `version` which version it is of, `backfill` to which one it belongs.
runs = sa.Table(
    "pydag_runs",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("dag_id", sa.Text, nullable=False),
    sa.Column("dag_hash", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("submitted_at", sa.Double),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("logical_date", sa.Text),
    sa.Column("params", sa.Text),
    sa.Column("head", sa.Text, nullable=False),
    sa.Column("event", sa.BigInteger, nullable=False),
    sa.Column("planned", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer),
    sa.Column("run_type", sa.Text),
    sa.Column("backfill", sa.Text),
    sa.Index("pydag_runs_submitted", "submitted_at"),
    sa.Index("pydag_runs_dag", "dag_id", "submitted_at"),
    sa.Index("pydag_runs_date", "dag_id", "logical_date"),
    sa.Index("pydag_runs_ended", "ended_at"),
    sa.Index("pydag_runs_backfill", "backfill"),
    # For how an id begins, where the database's own order of texts is of no use.
    sa.Index("pydag_runs_name", "run_id", postgresql_ops={"run_id": "text_pattern_ops"}),
)

# A row for each time that a run was submitted or resumed: with which DAG, from which task if one
# was named, and which tasks that DAG had changed, separated by spaces.
rounds = sa.Table(
    "pydag_rounds",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("event", sa.BigInteger, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("dag_hash", sa.Text, nullable=False),
    sa.Column("from_task", sa.Text),
    sa.Column("changed", sa.Text),
)

# Who has cancelled or resumed a run, or marked a task of it (`act`): from which task it was
# resumed, or as which `state` the task was marked.
run_acts = sa.Table(
    "pydag_run_acts",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("event", sa.BigInteger, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("act", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("task_id", sa.Text),
    sa.Column("state", sa.Text),
)

# A column that may be empty is filled from the field of its name in the events of tasks
# (`batch.py`), and shown if a `TaskSnapshot` has a field of its name (`reading.py`).
#
# A row for each try that has ended, that was expanded, or that a resumed run has yet to begin: of
# a task's rows the one with the newest event is what the task is. `result` is JSON, `skips`
# are the downstream tasks that a branch did not follow, `expansions` those that expand over its
# result and into how many, all separated by spaces. `pushes` is how many messages of the try there
# were, `reason` why it was cancelled or failed: cancel, timeout or poison. There is no foreign key:
# it would be looked up for each of a run's thousands of rows, and their order is the stream's.
# `bytes_billed` is what the result says of it.
tries = sa.Table(
    "pydag_tries",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("task_id", sa.Text, primary_key=True),
    sa.Column("try_number", sa.Integer, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ready_at", sa.Double),
    sa.Column("queued_at", sa.Double),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("worker", sa.Text),
    sa.Column("result", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("skips", sa.Text),
    sa.Column("expansions", sa.Text),
    sa.Column("pushes", sa.Integer),
    sa.Column("reason", sa.Text),
    sa.Column("event", sa.BigInteger, nullable=False),
    sa.Column("bytes_billed", sa.BigInteger),
    sa.Index(
        "pydag_tries_billed",
        "run_id",
        "bytes_billed",
        sqlite_where=sa.text("bytes_billed > 0"),
        postgresql_where=sa.text("bytes_billed > 0"),
    ),
)

# All but the one row of `meta`: a `Batch` has rows for each.
WRITTEN: Final = (dags, dag_events, backfill_events, runs, rounds, run_acts, tries)
