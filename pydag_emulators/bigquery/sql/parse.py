"""Parses statements, and says of which type each of them is."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from pydag_emulators.bigquery.errors import ApiError, invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import GENERATED
from pydag_emulators.bigquery.sql.syntax.dialect import GoogleSQL

# Its warnings ("unsupported syntax, falling back…") are errors here, raised below.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_NOT_SUPPORTED = frozenset(
    {
        "DENY", "EXPLAIN", "GRANT", "REVOKE", "UNDROP",
    }
)  # fmt: skip

_OTHERS = (TokenType.DCOLON, TokenType.MOD, TokenType.L_BRACE)
_OTHERS_SIGNS = ((TokenType.EQ, "=="), (TokenType.NOT, "!"))

SYSTEM_VARIABLES = frozenset(
    {
        "dataset_id", "error.message", "error.statement_text", "last_job_id", "project_id",
        "row_count", "script.job_id", "time_zone",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """One statement of a script: its text as written, and its parse tree."""

    text: str
    tree: exp.Expression
    kind: str
    """BigQuery's `statementType`: SELECT, INSERT, CREATE_TABLE_AS_SELECT, …"""


def tokens_of(sql: str) -> list[Token]:
    """The tokens of a script.

    Raises:
        ApiError: `invalidQuery` with the position for a syntax error, `notImplemented`.
    """
    try:
        tokens = sqlglot.tokenize(sql, read=GoogleSQL)
    except TokenError as error:
        raise invalid_query(f"Syntax error: {error}") from error
    previous: TokenType | None = None  # but numbers
    for token in tokens:
        _check_token(token)
        if token.text.upper() == "CORRESPONDING" and token.token_type == TokenType.VAR:
            raise unimplemented("set operations CORRESPONDING; write BY NAME")
        if previous == TokenType.LIMIT and token.token_type == TokenType.COMMA:
            raise _unexpected(token)
        if token.token_type != TokenType.NUMBER:
            previous = token.token_type
        if GENERATED in token.text and token.token_type == TokenType.IDENTIFIER:
            raise unimplemented(f"the character {GENERATED} in names ({token.text})")
    return list(tokens)


def _check_token(token: Token) -> None:
    """Refuse operators that sqlglot reads, and GoogleSQL doesn't have."""
    if token.token_type in _OTHERS or (token.token_type, token.text) in _OTHERS_SIGNS:
        raise _unexpected(token)


def _unexpected(token: Token) -> ApiError:
    return invalid_query(
        f'Syntax error: Unexpected "{token.text}" at [{token.line}:{_column(token)}]'
    )


def statement_of(sql: str, tokens: list[Token]) -> Statement:
    """The statement that these tokens of the script `sql` are.

    Raises:
        ApiError: `invalidQuery`, `notImplemented`.
    """
    first, last = tokens[0], tokens[-1]
    word = first.text.upper()
    if word in _NOT_SUPPORTED and first.token_type != TokenType.IDENTIFIER:
        raise unimplemented(f"the statement {word} (at [{first.line}:{_column(first)}])")
    text = sql[first.start : last.end + 1]
    # With blanks in front, errors have the line and the column that are right for the whole script.
    padded = re.sub(r"[^\n]", " ", sql[: first.start]) + text
    if word == "INSERT" and len(tokens) > 2 and tokens[2].text == "-":
        padded = padded.replace(first.text, "INSERT INTO", 1)  # sqlglot wants it before dashes
    is_word = first.token_type != TokenType.IDENTIFIER
    if is_word and word == "LOAD":
        tree = _load_data(padded, tokens)
    elif is_word and word in ("CREATE", "DROP"):
        tree = _create_or_drop(padded, tokens)
    else:
        tree = parse_one(padded)
    return Statement(text, tree, _kind(tree, text))


def _create_or_drop(sql: str, tokens: list[Token]) -> exp.Expression:
    """CREATE or DROP: SNAPSHOT, and OPTIONS behind CLONE or COPY, are read apart from the rest."""
    words = [token.text.upper() for token in tokens]
    if ("TABLE", "FUNCTION") in pairwise(words[:5]):
        raise unimplemented("table functions")
    is_snapshot = words[1:3] == ["SNAPSHOT", "TABLE"]
    if is_snapshot:
        sql = sql[: tokens[1].start] + " " * len("SNAPSHOT") + sql[tokens[1].end + 1 :]
    clone = next((at for at, word in enumerate(words[:12]) if word in ("CLONE", "COPY")), 0)
    is_clone = clone > 0 and "TABLE" in words[1:clone] and "(" not in words[:clone]
    if is_clone and "SYSTEM_TIME" in words[clone:]:
        raise unimplemented("time travel: FOR SYSTEM_TIME AS OF")
    options = words.index("OPTIONS", clone) if is_clone and "OPTIONS" in words[clone:] else 0
    tree = parse_one(sql[: tokens[options].start] if options else sql)
    if options:
        tree.set("properties", _options_in(sql[tokens[options].start :]))
    if is_snapshot:
        tree.set("kind", "SNAPSHOT TABLE")
    return tree


def _options_in(text: str) -> exp.Expression:
    """The properties of `OPTIONS (…)`."""
    given: exp.Expression = parse_one(f"CREATE TABLE x (x INT64) {text}").args["properties"]
    return given


def _load_data(sql: str, tokens: list[Token]) -> exp.Expression:
    """LOAD DATA: what comes before FROM FILES is read as the CREATE TABLE that it resembles."""
    words = [token.text.upper() for token in tokens]
    pairs = list(pairwise(words))
    files = pairs.index(("FROM", "FILES")) + 1 if ("FROM", "FILES") in pairs else 0
    if not files or words[1] != "DATA" or files < 4:
        raise invalid_query("Syntax error: Expected LOAD DATA … FROM FILES")
    if words[2] not in ("INTO", "OVERWRITE"):
        raise invalid_query(f'Syntax error: Unexpected "{tokens[2].text}"')
    overwrite, partition = words[2] == "OVERWRITE", None
    clause = pairs.index(("PARTITIONS", "(")) if ("PARTITIONS", "(") in pairs[:files] else 0
    if clause and words[clause - 1] not in (".", "INTO", "TABLE"):  # no table of that name
        if overwrite:
            raise invalid_query("LOAD DATA with PARTITIONS must begin with LOAD DATA INTO")
        overwrite, last = words[clause - 1] == "OVERWRITE", _closing(words, clause + 1)
        partition = _partition_in(sql[tokens[clause + 1].start : tokens[last].end + 1])
        from_, to = tokens[clause - overwrite].start, tokens[last].end + 1
        sql = sql[:from_] + re.sub(r"[^\n]", " ", sql[from_:to]) + sql[to:]
    end = _closing(words, files + 1)
    if end + 1 < len(words):
        raise unimplemented(f"LOAD DATA … {' '.join(words[end + 1 : end + 4])}")
    start, into, source = tokens[0].start, tokens[2].end + 1, tokens[files - 1].start
    if words[3] == "TABLE" or words[3:5] in (["TEMP", "TABLE"], ["TEMPORARY", "TABLE"]):
        create = "CREATE"
    else:
        create = "CREATE TABLE"
    head = sql[:start] + create.ljust(into - start) + sql[into:source]
    given = _options_in("OPTIONS" + sql[tokens[files].end + 1 :])
    return exp.LoadData(this=parse_one(head), files=given, overwrite=overwrite, partition=partition)


def _closing(words: list[str], opening: int) -> int:
    """Where the parenthesis that is opened there is closed, else the last word."""
    depth = 0
    for at in range(opening, len(words)):
        depth += (words[at] == "(") - (words[at] == ")")
        if depth == 0:
            return at
    return len(words) - 1


def _partition_in(text: str) -> exp.EQ:
    """The comparison of `(column = value)`."""
    given = parse_one(f"SELECT {text}").expressions[0].unnest()
    if not isinstance(given, exp.EQ) or not isinstance(given.this, exp.Column):
        raise invalid_query("Syntax error: Expected PARTITIONS (column = value)")
    given.set("this", given.this.this)  # a variable of that name isn't meant
    return given


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
    for values in tree.find_all(exp.Values):
        if not isinstance(values.parent, exp.Insert):
            raise invalid_query("Syntax error: VALUES is only allowed in INSERT")
    if "@@" in sql:
        _name_system_variables(tree)
    return tree


def _name_system_variables(tree: exp.Expression) -> None:
    """`@@project_id` and `@@error.message` are variables with just these names."""
    for node in list(tree.find_all(exp.Parameter)):
        if not isinstance(node.this, exp.Parameter):
            continue
        whole: exp.Expression = node.parent if isinstance(node.parent, exp.Dot) else node
        name = whole.sql(dialect="bigquery").lower().removeprefix("@@")
        if name not in SYSTEM_VARIABLES:
            raise unimplemented(f"the system variable @@{name}")
        whole.replace(exp.column(f"@@{name}", quoted=True))


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
    "SNAPSHOT TABLE": "CREATE_SNAPSHOT_TABLE",
    "VIEW": "CREATE_VIEW",
    "SCHEMA": "CREATE_SCHEMA",
    "FUNCTION": "CREATE_FUNCTION",
}
_DROP = {
    "TABLE": "DROP_TABLE",
    "SNAPSHOT TABLE": "DROP_SNAPSHOT_TABLE",
    "VIEW": "DROP_VIEW",
    "SCHEMA": "DROP_SCHEMA",
    "FUNCTION": "DROP_FUNCTION",
    "PROCEDURE": "DROP_PROCEDURE",
}
_SIMPLE: dict[type[exp.Expression], str] = {
    exp.Insert: "INSERT",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.Merge: "MERGE",
    exp.TruncateTable: "TRUNCATE_TABLE",
    exp.Export: "EXPORT_DATA",
    exp.LoadData: "LOAD_DATA",
}


def _kind(tree: exp.Expression, text: str) -> str:
    if isinstance(tree, exp.Query):
        return "SELECT"
    if isinstance(tree, exp.Create):
        kind = _CREATE.get(str(tree.args.get("kind")).upper())
        if kind == "CREATE_TABLE" and tree.expression:
            kind = "CREATE_TABLE_AS_SELECT"
    elif isinstance(tree, exp.Alter):
        kind = {"TABLE": "ALTER_TABLE", "VIEW": "ALTER_VIEW"}.get(tree.args["kind"])
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
