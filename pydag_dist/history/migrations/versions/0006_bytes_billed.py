"""What BigQuery billed for each try, so that sums of it need not read all results."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_PAGE = 1_000


def upgrade() -> None:
    """Add the column and its index, and fill the column from the results that are there."""
    op.add_column("pydag_tries", sa.Column("bytes_billed", sa.BigInteger))
    connection = op.get_bind()
    key = ("run_id", "task_id", "try_number")
    tries = sa.table("pydag_tries", *map(sa.column, (*key, "result", "bytes_billed")))
    columns = [tries.c[name] for name in key]
    query = sa.select(*columns, tries.c.result).where(tries.c.result.like('%"bytes_billed"%'))
    query = query.order_by(*columns).limit(_PAGE)
    update = tries.update().values(bytes_billed=sa.bindparam("billed"))
    for name in key:
        update = update.where(tries.c[name] == sa.bindparam(f"of_{name}"))
    page = connection.execute(query).all()
    while page:
        rows = [
            {**dict(zip((f"of_{name}" for name in key), row[:3], strict=True)), "billed": billed}
            for row in page
            if (billed := _billed(row.result)) is not None
        ]
        if rows:
            connection.execute(update, rows)
        page = connection.execute(query.where(sa.tuple_(*columns) > tuple(page[-1][:3]))).all()
    has_any = sa.text("bytes_billed > 0")
    op.create_index(
        "pydag_tries_billed",
        "pydag_tries",
        ["run_id", "bytes_billed"],
        sqlite_where=has_any,
        postgresql_where=has_any,
    )
    op.execute("UPDATE pydag_meta SET schema = 6")


def _billed(result: str) -> int | None:
    try:
        billed = json.loads(result)["bytes_billed"]
    except (ValueError, LookupError, TypeError):
        return None
    return billed if isinstance(billed, int) and 0 <= billed < 1 << 62 else None
