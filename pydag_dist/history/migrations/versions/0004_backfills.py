"""Who began, paused and cancelled backfills; to which one a run belongs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table and the column."""
    op.create_table(
        "pydag_backfill_events",
        sa.Column("backfill", sa.Text, primary_key=True),
        sa.Column("event", sa.BigInteger, primary_key=True),
        sa.Column("dag_id", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("who", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.add_column("pydag_runs", sa.Column("backfill", sa.Text))
    op.create_index("pydag_runs_backfill", "pydag_runs", ["backfill"])
    op.execute("UPDATE pydag_meta SET schema = 4")
