"""The first tables: runs, their tries and DAGs, and whose database this is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "pydag_dags",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("dag_id", sa.Text, nullable=False),
        sa.Column("dag", sa.Text, nullable=False),
    )
    op.create_table(
        "pydag_runs",
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
    )
    op.create_index("pydag_runs_submitted", "pydag_runs", ["submitted_at"])
    op.create_index("pydag_runs_dag", "pydag_runs", ["dag_id", "submitted_at"])
    op.create_index("pydag_runs_ended", "pydag_runs", ["ended_at"])
    op.create_table(
        "pydag_tries",
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
        sa.Column("event", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "pydag_meta",
        sa.Column("schema", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("epoch", sa.Text),
        sa.Column("beat", sa.BigInteger, nullable=False),
    )
