"""sqlglot's BigQuery dialect, with the positions of `?` kept, and without commands as raw text."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import TokenType

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.replace import with_values
from pydag_emulators.bigquery.sql.syntax.arguments import counted
from pydag_emulators.bigquery.sql.syntax.pipes import closed, pipes_of

_OTHERS_FUNCTIONS = frozenset(
    {
        "APPROX_DISTINCT", "APPROX_TOP_K", "ARGMAX", "ARGMIN", "ARG_MAX", "ARG_MIN", "ARRAY_JOIN",
        "ARRAY_SIZE", "BITWISE_AND_AGG", "BITWISE_COUNT", "BITWISE_OR_AGG", "BITWISE_XOR_AGG",
        "BOOLAND_AGG", "BOOLOR_AGG", "BOOL_AND", "BOOL_OR", "CHAR", "CHARINDEX", "CONTAINS",
        "CONVERT", "COUNT_IF", "DATEDIFF", "DATEFROMPARTS", "DATE_FROM_PARTS", "DECODE",
        "ENDSWITH", "GENERATE_SERIES", "GEN_RANDOM_UUID", "GROUP_CONCAT", "HEX", "IIF", "ISINF",
        "ISNAN", "JSON_FORMAT", "JSON_PARSE", "LAST_DAY_OF_MONTH", "LCASE", "LEFTPAD", "LEN",
        "LEVENSHTEIN", "LOCATE", "LOG2", "LOWER_HEX", "MD5_DIGEST", "NVL", "PAD", "POSITION",
        "RANDOM", "REGEXP_LIKE", "RIGHTPAD", "SIGNUM", "STARTSWITH", "STDEV", "STR_POSITION",
        "STR_TO_DATE", "TIMEFROMPARTS", "TIMESTAMPDIFF", "TIMESTAMPFROMPARTS",
        "TIMESTAMP_FROM_PARTS", "TIME_FROM_PARTS", "TIME_TO_STR", "TRUNCATE", "TRY_CAST",
        "TRY_CONVERT", "UCASE", "UNHEX", "UUID", "UUID_STRING", "VARIANCE_POP", "VARIANCE_SAMP",
    }
)  # fmt: skip
"""Functions of other dialects, which the generic parser takes for those that do the same here."""
_OTHERS_WORDS = frozenset(
    {
        "<=>", "ANTI", "BINARY", "BLOB", "BYTEA", "CLOB", "DEC", "DOUBLE", "DOUBLE PRECISION",
        "FIXED", "FLOAT8", "INT32", "INT4", "LONG", "LONGVARCHAR", "NUMBER", "REGEXP", "RLIKE",
        "SEMI", "STR", "TEXT", "TIMESTAMPTZ", "VARBINARY",
    }
)  # fmt: skip
_KEYS = (TokenType.CONSTRAINT, TokenType.FOREIGN_KEY, TokenType.PRIMARY_KEY)
_COMMANDS = (TokenType.COMMAND, TokenType.EXECUTE, TokenType.BEGIN)


def _placeholder(parser: Parser) -> exp.Expression:
    # Their order in the tree is not the order in which they are written.
    return parser.expression(exp.Placeholder()).update_positions(parser._prev)  # noqa: SLF001


def _with(parser: Parser) -> exp.Expression:
    """`WITH(name AS value, …, result)`: the result, with the values in the places of names."""
    values: dict[str, exp.Expression] = {}
    while parser._next.token_type == TokenType.ALIAS and (name := parser._parse_id_var()):  # noqa: SLF001
        parser._match(TokenType.ALIAS)  # noqa: SLF001
        values[name.name.lower()] = _checked(parser._parse_assignment(), values)  # noqa: SLF001
        parser._match(TokenType.COMMA)  # noqa: SLF001
    return _checked(parser._parse_assignment(), values)  # noqa: SLF001


def _checked(value: exp.Expr | None, values: dict[str, exp.Expression]) -> exp.Expression:
    """The value, with those of the names before it."""
    if not isinstance(value, exp.Expression):
        raise invalid_query("Syntax error: Expected WITH(name AS value, …, result)")
    if values and value.find(exp.Query) is not None:
        raise unimplemented("queries in WITH expressions")
    if value.find(exp.Rand, exp.Uuid) is not None:
        raise unimplemented("random values in WITH expressions")
    return with_values(value, values)


def _json_object(parser: Parser) -> exp.Expression:
    """JSON_OBJECT: the generic parser takes columns named `key` and `value` for keywords."""
    values = parser._parse_csv(parser._parse_assignment)  # noqa: SLF001
    if len(values) % 2:
        raise invalid_query("No matching signature for function JSON_OBJECT")
    pairs = [
        exp.JSONKeyValue(this=key, expression=value)
        for key, value in zip(values[::2], values[1::2], strict=True)
    ]
    return exp.JSONObject(expressions=pairs)


def _casefold(parser: Parser) -> exp.Expression:
    """NORMALIZE_AND_CASEFOLD, whose form is a word as that of NORMALIZE."""
    node: exp.Expression = parser._parse_normalize()  # noqa: SLF001
    node.set("is_casefold", True)
    return node


class GoogleSQL(BigQuery):
    """GoogleSQL as this service reads it."""

    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        """Leaves a JSONPath as it is written, since the generic one reads what Google refuses."""
        return path

    class Tokenizer(BigQuery.Tokenizer):
        """Reads procedural language word by word: see `scripts`."""

        KEYWORDS: ClassVar = {
            word: kind
            for word, kind in BigQuery.Tokenizer.KEYWORDS.items()
            if kind not in _COMMANDS and word not in _OTHERS_WORDS
        }
        COMMANDS: ClassVar[set[TokenType]] = set()

    class Parser(BigQuery.Parser):  # type: ignore[misc, valid-type]
        """Adds to the generic parser what the service needs to know."""

        FUNC_TOKENS: ClassVar = {*BigQuery.Parser.FUNC_TOKENS, TokenType.WITH}
        FUNCTIONS: ClassVar = counted(
            {
                name: build
                for name, build in BigQuery.Parser.FUNCTIONS.items()
                if name not in _OTHERS_FUNCTIONS
            }
        )
        FUNCTION_PARSERS: ClassVar = {
            **{
                name: parse
                for name, parse in BigQuery.Parser.FUNCTION_PARSERS.items()
                if name not in _OTHERS_FUNCTIONS
            },
            "JSON_OBJECT": _json_object,
            "NORMALIZE_AND_CASEFOLD": _casefold,
            "WITH": _with,
        }
        PLACEHOLDER_PARSERS: ClassVar = {
            **BigQuery.Parser.PLACEHOLDER_PARSERS,
            TokenType.PLACEHOLDER: _placeholder,
        }

        PIPE_SYNTAX_TRANSFORM_PARSERS: ClassVar = pipes_of(
            BigQuery.Parser.PIPE_SYNTAX_TRANSFORM_PARSERS
        )

        def _parse_pipe_syntax_join(self, query: exp.Query) -> exp.Query | None:
            joined: exp.Query | None = super()._parse_pipe_syntax_join(closed(self, query, "JOIN"))
            return joined

        def _parse_cast(self, strict: bool, safe: bool | None = None) -> exp.Expr:
            """Keeps the type beside the FORMAT, of dates and times, too."""
            if not self._has_format():
                cast: exp.Expr = super()._parse_cast(strict, safe)
                return cast
            value = self._parse_assignment()
            if not self._match(TokenType.ALIAS):
                self.raise_error("Expected AS after CAST")
            type_ = self._parse_types()
            self._match(TokenType.FORMAT)
            format_ = self._parse_at_time_zone(self._parse_string())
            kind = exp.TryCast if safe else exp.Cast
            return kind(this=value, to=type_, format=format_)

        def _has_format(self) -> bool:
            """Whether FORMAT stands before the closing parenthesis."""
            depth = 0
            for token in self._tokens[self._index :]:
                if token.token_type == TokenType.L_PAREN:
                    depth += 1
                elif token.token_type == TokenType.R_PAREN:
                    if not depth:
                        break
                    depth -= 1
                elif token.token_type == TokenType.FORMAT and not depth:
                    return True
            return False

        def _parse_constraint(self) -> exp.Expr | None:
            """Takes `ADD` before each further key of ALTER TABLE, and IF NOT EXISTS."""
            if self._next and self._next.token_type in _KEYS:
                self._match_text_seq("ADD")
            named = self._curr and self._curr.token_type == TokenType.CONSTRAINT
            if not named or not self._match_text_seq("CONSTRAINT", "IF", "NOT", "EXISTS"):
                constraint: exp.Expr | None = super()._parse_constraint()
                return constraint
            return exp.Constraint(
                this=self._parse_id_var(),
                expressions=self._parse_unnamed_constraints(),
                exists=True,
            )

        def _parse_alter_drop_action(self) -> exp.Expr | None:
            if self._match_pair(TokenType.DROP, TokenType.PRIMARY_KEY):
                return exp.Drop(kind="PRIMARY KEY", exists=self._parse_exists())
            action: exp.Expr | None = super()._parse_alter_drop_action()
            return action

        def _parse_star_op(self, *keywords: str) -> list[exp.Expr] | None:
            known = [word for word in keywords if word in ("EXCEPT", "REPLACE")]
            expressions: list[exp.Expr] | None = super()._parse_star_op(*known)
            return expressions

        def _parse_table(self, *args: Any, **options: Any) -> exp.Expr | None:
            """Takes `t.items AS item WITH OFFSET AS o` for UNNEST(t.items)."""
            table: exp.Expr | None = super()._parse_table(*args, **options)
            if not isinstance(table, exp.Table) or not self._match_text_seq("WITH", "OFFSET"):
                return table
            self._match(TokenType.ALIAS)
            offset = self._parse_id_var(any_token=False) or exp.to_identifier("offset")
            alias = table.args.get("alias")
            table.set("alias", None)
            return exp.Unnest(
                expressions=[table.to_column()],
                alias=exp.TableAlias(columns=[(alias or table).this.copy()]),
                offset=offset,
            )

        def _implicit_unnests_to_explicit(self, this: exp.Expr) -> exp.Expr:
            """`FROM t, t.items` names the items, too."""
            query: exp.Expr = super()._implicit_unnests_to_explicit(this)
            for join in query.args.get("joins") or []:
                unnest = join.this
                if isinstance(unnest, exp.Unnest) and "offset" not in unnest.args:
                    name = unnest.expressions[0].this.copy()
                    if unnest.args.get("alias") is None:
                        unnest.set("alias", exp.TableAlias(columns=[name]))
            return query

        def _parse_with(self, skip_with_token: bool = False) -> exp.With | None:
            is_expression = not skip_with_token and self._next.token_type == TokenType.L_PAREN
            return None if is_expression else super()._parse_with(skip_with_token)
