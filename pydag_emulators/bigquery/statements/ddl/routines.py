"""CREATE and DROP of SQL functions and procedures in a dataset."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import duplicate, invalid_query, not_found
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.names import TableRef
from pydag_emulators.bigquery.sql.scripts.read import parse_steps
from pydag_emulators.bigquery.sql.scripts.steps import Argument, CreateProcedure
from pydag_emulators.bigquery.sql.temporary import Function, function_of
from pydag_emulators.bigquery.sql.values import null_value
from pydag_emulators.bigquery.statements.context import Context
from pydag_emulators.bigquery.statements.write import check_location
from pydag_emulators.bigquery.storage.catalog import now_ms
from pydag_emulators.bigquery.storage.routines import (
    STATEMENT,
    delete_routine,
    find_routine,
    save_routine,
)


def change_routine(context: Context, kind: str, tree: exp.Expression, ref: TableRef) -> Outcome:
    """Make, replace or drop the function or procedure `ref`.

    Raises:
        ApiError: `duplicate`, `notFound`, `invalidQuery`, `notImplemented`.
    """
    check_location(context, ref)
    existing = find_routine(context.cursor, ref)
    type_ = "PROCEDURE" if kind.endswith("_PROCEDURE") else "SCALAR_FUNCTION"
    if existing is not None and existing["routineType"] != type_:
        raise invalid_query(f"Routine {ref} is a {existing['routineType']}, not a {type_}")
    if kind.startswith("DROP_"):
        if existing is None and not tree.args.get("exists"):
            raise not_found("Routine", str(ref), context.key.location)
        delete_routine(context.cursor, ref)
        return _outcome("SKIP" if existing is None else "DROP", ref)
    if existing is not None and not tree.args.get("replace"):
        if not tree.args.get("exists"):
            raise duplicate("Routine", str(ref))
        return _outcome("SKIP", ref)
    now = str(now_ms())
    resource = {
        "routineReference": _api(ref),
        "routineType": type_,
        "language": "SQL",
        "creationTime": now if existing is None else existing["creationTime"],
        "lastModifiedTime": now,
        "etag": now,
        **(_procedure(tree) if type_ == "PROCEDURE" else _function(context, tree)),
    }
    save_routine(context.cursor, ref, resource)
    return _outcome("CREATE" if existing is None else "REPLACE", ref)


def _procedure(tree: exp.Expression) -> dict[str, Any]:
    """What a resource says of a procedure; its body is only parsed until it is called."""
    text = tree.expression.name
    (made,) = parse_steps(text)
    assert isinstance(made, CreateProcedure)  # noqa: S101  it comes from `parse_steps`
    return {
        "definitionBody": made.definition,
        "arguments": [
            {"name": one.name, "mode": one.mode, "argumentKind": _argument_kind(one)}
            for one in made.arguments
        ],
        STATEMENT: text,
    }


def _argument_kind(argument: Argument) -> str:
    return "ANY_TYPE" if argument.type is None else "FIXED_TYPE"


def _function(context: Context, tree: exp.Expression) -> dict[str, Any]:
    """What a resource says of a function."""
    _check(context, function_of(tree))
    return {
        "definitionBody": tree.expression.unnest().sql(dialect="bigquery"),
        STATEMENT: tree.sql(dialect="bigquery"),
    }


def _check(context: Context, function: Function) -> None:
    """Find wrong names and types in the body, where the types of all parameters are declared."""
    if all(type_ is not None for _, type_ in function.parameters):
        nulls = [null_value(type_) for _, type_ in function.parameters if type_ is not None]
        call = exp.Anonymous(this="f", expressions=nulls)
        value = exp.alias_(function.called(call), "value")
        context.cursor.sql(context.translate(exp.select(value)))


def _outcome(operation: str, ref: TableRef) -> Outcome:
    query: dict[str, Any] = {"ddlOperationPerformed": operation, "ddlTargetRoutine": _api(ref)}
    return Outcome(statistics={"query": query})


def _api(ref: TableRef) -> dict[str, str]:
    return {"projectId": ref.project, "datasetId": ref.dataset, "routineId": ref.table}
