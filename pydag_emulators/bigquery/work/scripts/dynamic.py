"""EXECUTE IMMEDIATE: a text and its parameters as a statement."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.params import Parameters
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.sql.scripts.read import parse_steps
from pydag_emulators.bigquery.sql.scripts.steps import Block, Call


def dynamic_statement(
    text: exp.Expression, given: list[tuple[str, exp.Expression]], *, is_query: bool
) -> Statement:
    """The statement in the text, with the values that are given by name, or by position.

    Raises:
        ApiError: `invalidQuery`, `notImplemented`.
    """
    if not isinstance(text, exp.Literal):
        raise invalid_query("EXECUTE IMMEDIATE sql string cannot be NULL")
    statement, *more = parse_steps(text.name)
    if isinstance(statement, Block | Call):
        raise unimplemented("blocks and CALL in EXECUTE IMMEDIATE")
    if more or not isinstance(statement, Statement):
        raise invalid_query("EXECUTE IMMEDIATE sql string must contain exactly one statement")
    named = {name.lower(): value for name, value in given if name}
    if named and len(named) != len(given):
        raise invalid_query("EXECUTE IMMEDIATE USING parameters must be all positional or named")
    if is_query and statement.kind != "SELECT":
        raise invalid_query("EXECUTE IMMEDIATE with INTO clause must use a query statement")
    parameters = Parameters(named, [value for name, value in given if not name])
    tree = parameters.bind(statement.tree.copy())
    return Statement(statement.text, tree, statement.kind)
