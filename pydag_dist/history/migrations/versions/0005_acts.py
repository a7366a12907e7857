"""Who has cancelled or resumed a run, or marked its tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "pydag_run_acts",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("event", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text),
        sa.Column("state", sa.Text),
    )
    op.execute("UPDATE pydag_meta SET schema = 5")
