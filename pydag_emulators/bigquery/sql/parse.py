"""Splits a script into statements, and says of which type each of them is."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from pydag_emulators.bigquery.errors import ApiError, invalid_query, unimplemented
from pydag_emulators.bigquery.sql.dialect import GoogleSQL
from pydag_emulators.bigquery.sql.functions.build import GENERATED

# Its warnings ("unsupported syntax, falling back…") are errors here, raised below.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_PROCEDURAL = frozenset(
    {
        "ALTER", "ASSERT", "BEGIN", "BREAK", "CALL", "CASE", "COMMIT", "CONTINUE", "DECLARE",
        "DENY", "EXECUTE", "EXPLAIN", "EXPORT", "FOR", "GRANT", "IF", "ITERATE", "LEAVE", "LOAD",
        "LOOP", "RAISE", "REPEAT", "RETURN", "REVOKE", "ROLLBACK", "SET", "UNDROP", "WHILE",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """One statement of a script: its text as written, and its parse tree."""

    text: str
    tree: exp.Expression
    kind: str
    """BigQuery's `statementType`: SELECT, INSERT, CREATE_TABLE_AS_SELECT, …"""


@lru_cache(maxsize=256)
def parse_script(sql: str) -> tuple[Statement, ...]:
    """The statements of `sql`; their trees are shared, and must be copied to be changed.

    Raises:
        ApiError: `invalidQuery` with the position for a syntax error, `notImplemented` for
            procedural language and statements that are not supported.
    """
    try:
        tokens = sqlglot.tokenize(sql, read=GoogleSQL)
    except TokenError as error:
        raise invalid_query(f"Syntax error: {error}") from error
    groups: list[list[Token]] = [[]]
    for token, after in zip_longest(tokens, tokens[1:]):
        _check_token(token)
        is_call = after is not None and after.token_type == TokenType.L_PAREN
        if token.token_type == TokenType.WITH and is_call:
            raise unimplemented("WITH expressions: WITH(name AS value, …)")
        if GENERATED in token.text and token.token_type == TokenType.IDENTIFIER:
            raise unimplemented(f"the character {GENERATED} in names ({token.text})")
        if token.token_type == TokenType.SEMICOLON:
            groups.append([])
        else:
            groups[-1].append(token)
    statements = [_statement(sql, group) for group in groups if group]
    if not statements:
        raise invalid_query("Syntax error: Unexpected end of statement")
    return tuple(statements)


def _check_token(token: Token) -> None:
    """Refuse operators that sqlglot reads, and GoogleSQL doesn't have."""
    if token.text in ("::", "==") and token.token_type != TokenType.STRING:
        raise invalid_query(
            f'Syntax error: Unexpected "{token.text}" at [{token.line}:{_column(token)}]'
        )


def _statement(sql: str, tokens: list[Token]) -> Statement:
    first, last = tokens[0], tokens[-1]
    word = first.text.upper().split(maxsplit=1)[0]  # `BEGIN TRANSACTION` is one token
    if word in _PROCEDURAL and first.token_type != TokenType.IDENTIFIER:
        raise unimplemented(f"the statement {word} (at [{first.line}:{_column(first)}])")
    text = sql[first.start : last.end + 1]
    # With blanks in front, errors have the line and the column that are right for the whole script.
    padded = re.sub(r"[^\n]", " ", sql[: first.start]) + text
    tree = parse_one(padded)
    return Statement(text, tree, _kind(tree, text))


def _column(token: Token) -> int:
    return token.col - (token.end - token.start)


def parse_one(sql: str) -> exp.Expression:
    """The tree of one statement.

    Raises:
        ApiError: `invalidQuery`.
    """
    try:
        tree = cast("exp.Expression", sqlglot.parse_one(sql, read=GoogleSQL))
    except (ParseError, TokenError) as error:
        raise _syntax_error(error) from error
    if isinstance(tree, exp.Command):
        raise unimplemented(f"the statement {tree.name.upper() or sql.strip()[:20].upper()}")
    return tree


def _syntax_error(error: ParseError | TokenError) -> ApiError:
    details = getattr(error, "errors", None)
    if not details:
        return invalid_query(f"Syntax error: {error}")
    at = details[0]
    near = at.get("highlight") or ""
    column = at.get("col", 1) - max(len(near) - 1, 0)
    what = f'Unexpected "{near}"' if near else str(at.get("description"))
    return invalid_query(f"Syntax error: {what} at [{at.get('line', 1)}:{column}]")


_CREATE = {
    "TABLE": "CREATE_TABLE",
    "VIEW": "CREATE_VIEW",
    "SCHEMA": "CREATE_SCHEMA",
}
_DROP = {"TABLE": "DROP_TABLE", "VIEW": "DROP_VIEW", "SCHEMA": "DROP_SCHEMA"}
_SIMPLE: dict[type[exp.Expression], str] = {
    exp.Insert: "INSERT",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.Merge: "MERGE",
    exp.TruncateTable: "TRUNCATE_TABLE",
}


def _kind(tree: exp.Expression, text: str) -> str:
    if isinstance(tree, exp.Query):
        return "SELECT"
    if isinstance(tree, exp.Create):
        for unknown in tree.find_all(exp.TemporaryProperty, exp.LikeProperty):
            raise unimplemented(f"{unknown.sql(dialect='bigquery')} in CREATE")
        kind = _CREATE.get(str(tree.args.get("kind")).upper())
        if kind == "CREATE_TABLE" and tree.expression:
            kind = "CREATE_TABLE_AS_SELECT"
    elif isinstance(tree, exp.Drop):
        kind = _DROP.get(str(tree.args.get("kind")).upper())
    else:
        kind = _SIMPLE.get(type(tree))
    if kind is None:
        words = " ".join(text.split()[:3]).upper()
        if isinstance(tree, exp.DDL | exp.DML | exp.Drop):
            raise unimplemented(f"the statement {words}")
        raise invalid_query(f"Syntax error: Unexpected start of a statement: {words}")
    return kind
