"""Operators of pipe syntax that the generic parser doesn't know, or puts in a wrong order.

Reference: https://cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import TokenType

from pydag_emulators.bigquery.errors import invalid_query, unimplemented

Pipe = Callable[[Any, Any], exp.Select]
_LAST = ("group", "having", "qualify", "limit", "offset", "distinct")
"""What a SELECT does after its WHERE and its joins."""
_ORDERED = ("LIMIT", "ORDER BY", "WHERE")


def closed(parser: Any, query: exp.Query, operator: str) -> exp.Query:
    """The query, as the source of another one if it would do the operator before its own clauses.

    What is not closed is `SELECT *` from relations whose names the operator can still use.
    """
    is_plain = query.expressions == [exp.Star()]
    last = _LAST if operator in _ORDERED else (*_LAST, "order")
    if (is_plain or operator == "LIMIT") and not any(query.args.get(key) for key in last):
        return query
    source, joins = query.args["from_"].this, query.args.get("joins")
    outer: exp.Query = parser._build_pipe_cte(query, [exp.Star()])  # noqa: SLF001
    if is_plain and source.alias_or_name and not joins:
        alias = exp.to_identifier(source.alias_or_name, quoted=True)
        outer.args["from_"].this.set("alias", exp.TableAlias(this=alias))
    return outer


def pipes_of(known: dict[str, Pipe]) -> dict[str, Pipe]:
    """The parsers of all operators; `known` are those of the generic parser."""
    return {
        **{name: _after(name, parse) for name, parse in {**known, **_OWN}.items()},
        **{name: _refused(name) for name in ("CALL", "MATCH_RECOGNIZE", "TABLESAMPLE", "WITH")},
    }


def _after(name: str, parse: Pipe) -> Pipe:
    return lambda parser, query: parse(parser, closed(parser, query, name))


def _refused(name: str) -> Pipe:
    def parse(_parser: Parser, _query: exp.Select) -> exp.Select:
        raise unimplemented(f"the pipe operator {name}")

    return parse


def _select(parser: Any, query: exp.Select) -> exp.Select:
    given = parser._parse_select(consume_pipe=False)  # noqa: SLF001
    for key in ("kind", "distinct"):
        query.set(key, given.args.get(key))
    query.select(*given.expressions, append=False, copy=False)
    made: exp.Select = parser._build_pipe_cte(query, [exp.Star()])  # noqa: SLF001
    return made


def _limit(parser: Any, query: exp.Select) -> exp.Select:
    query.set("limit", parser._parse_limit())  # noqa: SLF001
    query.set("offset", parser._parse_offset())  # noqa: SLF001
    return query


def _set(parser: Any, query: exp.Select) -> exp.Select:
    parser._advance()  # noqa: SLF001
    pairs = parser._parse_csv(parser._parse_assignment)  # noqa: SLF001
    if not all(isinstance(pair, exp.EQ) and isinstance(pair.this, exp.Column) for pair in pairs):
        raise invalid_query("Syntax error: Expected |> SET column = value, …")
    names = [_name(pair.this) for pair in pairs]
    values = [
        exp.alias_(pair.expression, name, quoted=True)
        for pair, name in zip(pairs, names, strict=True)
    ]
    return _starred(parser, query, names, exp.Star(replace=values))


def _drop(parser: Any, query: exp.Select) -> exp.Select:
    parser._advance()  # noqa: SLF001
    columns = parser._parse_csv(parser._parse_column)  # noqa: SLF001
    return _starred(parser, query, [_name(c) for c in columns], exp.Star(except_=columns))


def _rename(parser: Any, query: exp.Select) -> exp.Select:
    parser._advance()  # noqa: SLF001
    names, renamed = [], []
    while True:
        names.append(_name(parser._parse_column()))  # noqa: SLF001
        parser._match(TokenType.ALIAS)  # noqa: SLF001
        new = parser._parse_id_var()  # noqa: SLF001
        if new is None:
            raise invalid_query("Syntax error: Expected |> RENAME column AS name, …")
        renamed.append(exp.alias_(exp.column(names[-1], quoted=True), new.name, quoted=True))
        if not parser._match(TokenType.COMMA):  # noqa: SLF001
            return _starred(parser, query, names, exp.Star(rename=renamed))


def _name(column: object) -> str:
    if not isinstance(column, exp.Column) or column.table:
        raise invalid_query("Syntax error: Expected the name of a column")
    return column.name


def _starred(parser: Any, query: exp.Select, names: list[str], star: exp.Star) -> exp.Select:
    if not names or len({name.lower() for name in names}) < len(names):
        raise invalid_query("SET, DROP and RENAME need names of columns, each of them once")
    query.select(star, append=False, copy=False)
    made: exp.Select = parser._build_pipe_cte(query, [exp.Star()])  # noqa: SLF001
    return made


_OWN: dict[str, Pipe] = {
    "DROP": _drop,
    "LIMIT": _limit,
    "RENAME": _rename,
    "SELECT": _select,
    "SET": _set,
}
