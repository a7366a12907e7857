"""Brings a database to this version's tables, from those of any version before it.

Each file of `versions` is one step, and is never changed once it was released: what a database has
been through is written in it. Its head says which step it follows; `tables.py` has what all of
them amount to, and `tests/contract/test_history_migrations.py` compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from pydag_dist.history.tables import VERSION_TABLE

# What databases have that were made before there was a version table.
_FIRST: Final = "0001"


def upgrade(connection: sa.Connection, marker: sa.Table) -> None:
    """Do the steps that the database has not been through; `marker` is there if it has tables.

    The caller holds the lock that lets one process at a time do this, and the transaction.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    if context.get_current_revision() is None and sa.inspect(connection).has_table(marker.name):
        command.stamp(config, _FIRST)
    command.upgrade(config, "head")
