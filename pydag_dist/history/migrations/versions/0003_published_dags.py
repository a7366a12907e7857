"""Who published and paused DAGs, and what was missed; a run's version, and what started it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table and the columns."""
    op.create_table(
        "pydag_dag_events",
        sa.Column("dag_id", sa.Text, primary_key=True),
        sa.Column("event", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("who", sa.Text),
        sa.Column("version", sa.Integer),
        sa.Column("dag_hash", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.add_column("pydag_runs", sa.Column("version", sa.Integer))
    op.add_column("pydag_runs", sa.Column("run_type", sa.Text))
    op.create_index("pydag_runs_date", "pydag_runs", ["dag_id", "logical_date"])
    op.execute("UPDATE pydag_meta SET schema = 3")
