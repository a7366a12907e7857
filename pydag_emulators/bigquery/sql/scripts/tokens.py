"""Reads a script word by word: what the next word is, names, and expressions up to a word."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from pydag_emulators.bigquery.errors import ApiError, invalid_query
from pydag_emulators.bigquery.sql.parse import Statement, parse_one

T = TypeVar("T")
_DEPTH = {"<": 1, "(": 1, ">": -1, ")": -1, ">>": -2}


class TokenReader:
    """Reads tokens from the first to the last; `_at` is the next one."""

    def __init__(self, sql: str, tokens: list[Token]) -> None:
        self._sql, self._tokens, self._at = sql, tokens, 0

    def _word(self, ahead: int = 0) -> str:
        """The next token in capitals; empty at the end and for quoted names and texts."""
        if self._at + ahead >= len(self._tokens):
            return ""
        token = self._tokens[self._at + ahead]
        quoted = token.token_type in (TokenType.IDENTIFIER, TokenType.STRING)
        return "" if quoted else token.text.upper()

    def _skip(self, word: str) -> bool:
        found = self._word() == word
        self._at += found
        return found

    def _expect(self, word: str) -> None:
        if not self._skip(word):
            raise self._unexpected()

    def _end(self, word: str) -> None:
        self._expect("END")
        self._expect(word)

    def _unexpected(self) -> ApiError:
        if self._at >= len(self._tokens):
            return invalid_query("Syntax error: Unexpected end of script")
        token = self._tokens[self._at]
        column = token.col - (token.end - token.start)
        return invalid_query(f'Syntax error: Unexpected "{token.text}" at [{token.line}:{column}]')

    def _name(self) -> str:
        if self._at >= len(self._tokens) or not re.fullmatch(r"\w+", self._tokens[self._at].text):
            raise self._unexpected()
        self._at += 1
        return self._tokens[self._at - 1].text

    def _names(self) -> tuple[str, ...]:
        names = [self._name()]
        while self._skip(","):
            names.append(self._name())
        return tuple(names)

    def _text_from(self, first: int) -> str:
        """The text from that token to the last that was read."""
        return self._sql[self._tokens[first].start : self._tokens[self._at - 1].end + 1]

    def _path(self) -> exp.Table:
        """What stands before a parenthesis, as the path of a table or routine."""
        text, _ = self._until("(")
        return exp.to_table(text, dialect="bigquery")

    def _listed(self, read: Callable[[], T]) -> tuple[T, ...]:
        """What stands in parentheses, with commas between."""
        self._expect("(")
        items: list[T] = []
        while not self._skip(")"):
            if items:
                self._expect(",")
            items.append(read())
        return tuple(items)

    def _type_text(self) -> str:
        """The text of a type in a list in parentheses; a type can have commas in it."""
        first, depth = self._at, 0
        while self._at < len(self._tokens):
            word = self._word()
            if depth == 0 and word in (",", ")"):
                break
            depth += _DEPTH.get(word, 0)
            self._at += 1
        if first == self._at:
            raise self._unexpected()
        return self._text_from(first)

    def _until(self, *ends: str) -> tuple[str, list[Token]]:
        """The text and tokens up to one of these words, outside of parentheses and CASE … END."""
        first, depth = self._at, 0
        while self._at < len(self._tokens):
            word = self._word()
            if depth == 0 and word in ends:
                break
            if word in ("(", "[", "CASE"):
                depth += 1
            elif word in (")", "]") or (word == "END" and depth):
                depth -= 1
            self._at += 1
        tokens = self._tokens[first : self._at]
        if not tokens:
            raise self._unexpected()
        return self._sql[tokens[0].start : tokens[-1].end + 1], tokens

    def _value(self, *ends: str) -> Statement:
        """An expression, as a SELECT of it."""
        text, tokens = self._until(*ends)
        before = re.sub(r"[^\n]", " ", self._sql[: tokens[0].start])
        tree = parse_one(f"{before}SELECT {text}")
        used = [name for name, value in tree.args.items() if value]
        if used != ["expressions"] or len(tree.expressions) != 1:
            raise invalid_query(f"Syntax error: Expected an expression: {text[:80]}")
        return Statement(text, tree, "SELECT")
