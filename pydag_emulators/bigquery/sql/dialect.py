"""sqlglot's BigQuery dialect, with the positions of `?` kept, and without commands as raw text."""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import TokenType

_COMMANDS = (TokenType.COMMAND, TokenType.EXECUTE, TokenType.BEGIN)


def _placeholder(parser: Parser) -> exp.Expression:
    # Their order in the tree is not the order in which they are written.
    return parser.expression(exp.Placeholder()).update_positions(parser._prev)  # noqa: SLF001


class GoogleSQL(BigQuery):
    """GoogleSQL as this service reads it."""

    class Tokenizer(BigQuery.Tokenizer):
        """Reads procedural language word by word: see `scripts`."""

        KEYWORDS: ClassVar = {
            word: kind
            for word, kind in BigQuery.Tokenizer.KEYWORDS.items()
            if kind not in _COMMANDS
        }
        COMMANDS: ClassVar[set[TokenType]] = set()

    class Parser(BigQuery.Parser):  # type: ignore[misc, valid-type]
        """Adds to the generic parser what the service needs to know."""

        PLACEHOLDER_PARSERS: ClassVar = {
            **BigQuery.Parser.PLACEHOLDER_PARSERS,
            TokenType.PLACEHOLDER: _placeholder,
        }
