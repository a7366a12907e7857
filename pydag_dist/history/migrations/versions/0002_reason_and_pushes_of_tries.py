"""Why a try was cancelled or failed, and how many messages of it there were; runs by their names.

And with which DAG a run was submitted and resumed.

A task that failed as poison goes on with the same try, after a loss of Redis, too.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; versions that don't know them refuse the database by its number."""
    op.add_column("pydag_tries", sa.Column("pushes", sa.Integer))
    op.add_column("pydag_tries", sa.Column("reason", sa.Text))
    op.create_table(
        "pydag_rounds",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("event", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("dag_hash", sa.Text, nullable=False),
        sa.Column("from_task", sa.Text),
        sa.Column("changed", sa.Text),
    )
    op.create_index(
        "pydag_runs_name", "pydag_runs", ["run_id"], postgresql_ops={"run_id": "text_pattern_ops"}
    )
    op.execute("UPDATE pydag_meta SET schema = 2")
