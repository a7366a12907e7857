"""Why a try was cancelled or failed, and how many messages of it there were.

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
    op.execute("UPDATE pydag_meta SET schema = 2")
