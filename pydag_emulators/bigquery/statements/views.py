"""The columns of a view, found by planning its query."""

from __future__ import annotations

from typing import Any

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.jobs.job import JobKey
from pydag_emulators.bigquery.names import TableRef
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.sql.parse import parse_script
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.select import plan_select
from pydag_emulators.bigquery.storage.catalog import get_dataset
from pydag_emulators.bigquery.storage.contents import Sizes
from pydag_emulators.bigquery.storage.store import Cursor


def view_fields(sizes: Sizes, cursor: Cursor, ref: TableRef, view: dict[str, Any]) -> list[Field]:
    """The fields of the result of the view's query.

    Raises:
        ApiError: for a query that is no valid SELECT.
    """
    if view.get("useLegacySql"):
        raise unimplemented("views in legacy SQL")
    statements = parse_script(str(view.get("query") or ""))
    if len(statements) != 1 or statements[0].kind != "SELECT":
        raise invalid_query("A view must be one SELECT")
    location = get_dataset(cursor, ref.in_dataset)["location"]
    key = JobKey(ref.project, location, "")
    context = Context(cursor, sizes, key, {}, default=None, check=lambda: None)
    return plan_select(context, statements[0].tree.copy()).fields
