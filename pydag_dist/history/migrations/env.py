"""What Alembic runs for each of its commands: the steps, in the connection that it was given."""

from __future__ import annotations

from alembic import context

from pydag_dist.history.tables import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
