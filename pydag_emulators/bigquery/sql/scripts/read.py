"""Procedural language: a script as steps, some of which have steps inside.

Reference: https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from pydag_emulators.bigquery.errors import invalid_query
from pydag_emulators.bigquery.sql.functions.build import GENERATED
from pydag_emulators.bigquery.sql.parse import Statement, statement_of, tokens_of
from pydag_emulators.bigquery.sql.scripts.procedures import ProcedureReader, type_in
from pydag_emulators.bigquery.sql.scripts.steps import (
    Assign,
    Block,
    Body,
    Check,
    Declare,
    Execute,
    For,
    If,
    Jump,
    Loop,
    Raise,
    Step,
    Transaction,
)

_JUMPS = {
    "BREAK": "BREAK", "LEAVE": "BREAK", "CONTINUE": "CONTINUE", "ITERATE": "CONTINUE",
    "RETURN": "RETURN",
}  # fmt: skip
_MOST_NESTED = 50


@lru_cache(maxsize=256)
def parse_steps(sql: str) -> Body:
    """The steps of a script; their trees are shared, and must be copied to be changed.

    Raises:
        ApiError: `invalidQuery` with the position for a syntax error, `notImplemented`.
    """
    reader = _Reader(sql, tokens_of(sql))
    steps = reader.body(frozenset())
    if not steps:
        raise invalid_query("Syntax error: Unexpected end of statement")
    return steps


class _Reader(ProcedureReader):
    """Reads the steps of a script."""

    def __init__(self, sql: str, tokens: list[Token]) -> None:
        super().__init__(sql, tokens)
        self._depth = 0

    def body(self, ends: frozenset[str]) -> Body:
        """Steps up to one of these words, or the end of the script."""
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise invalid_query(f"Script blocks are nested deeper than {_MOST_NESTED}")
        steps: list[Step] = []
        while self._at < len(self._tokens) and self._word() not in ends:
            if self._skip(";"):
                continue
            step = self._step()
            if isinstance(step, Declare) and steps and not isinstance(steps[-1], Declare):
                raise invalid_query(
                    "Variable declarations are allowed only at the start of a block or script"
                )
            steps.append(step)
            if self._at < len(self._tokens) and self._word() != ";":
                raise self._unexpected()
        if ends and self._at >= len(self._tokens):
            raise invalid_query("Syntax error: Unexpected end of script")
        self._depth -= 1
        return tuple(steps)

    def _step(self) -> Step:
        word = self._word()
        token = self._tokens[self._at]
        if token.token_type == TokenType.IDENTIFIER:
            return self._statement()
        if word == "CREATE" and "PROCEDURE" in (self._word(1), self._word(3)):
            return self._create_procedure()
        opens = word == "BEGIN" and self._word(1) in ("TRANSACTION", ";", "")
        if opens or word in ("COMMIT", "ROLLBACK"):
            return self._transaction(word)
        read = getattr(self, f"_{word.lower()}", None) if word in _STEPS else None
        if read is not None:
            self._at += 1
            step: Step = read()
            return step
        if word in _JUMPS:
            return self._jump(word)
        return self._labelled() if self._word(1) == ":" else self._statement()

    def _labelled(self) -> Step:
        label = self._name()
        self._expect(":")
        word = self._word()
        if word not in _WITH_LABEL:
            raise self._unexpected()
        if label.lower() in self._labels:
            raise invalid_query(f"Nested labels of the same name are not allowed: {label}")
        self._labels[label.lower()] = word != "BEGIN"
        step = self._step()
        del self._labels[label.lower()]
        if self._word() not in (";", "") and self._name().lower() != label.lower():
            raise invalid_query(f"Mismatched end label; expected {label}")
        if not isinstance(step, Loop | For | Block):
            raise self._unexpected()
        return replace(step, label=label.lower())

    def _declare(self) -> Step:
        names = self._names()
        type_ = None
        if self._word() not in ("DEFAULT", ";", ""):
            type_ = type_in(self._until("DEFAULT", ";")[0])
        default = self._value(";") if self._skip("DEFAULT") else None
        if type_ is None and default is None:
            raise self._unexpected()
        return Declare(names, type_, default)

    def _set(self) -> Step:
        if self._skip("@"):
            self._expect("@")
            name = self._name()
            while self._skip("."):
                name += f".{self._name()}"
            self._expect("=")
            return Assign((f"@@{name.lower()}",), self._value(";"))
        is_list = self._skip("(")
        names = self._names() if is_list else (self._name(),)
        if is_list:
            self._expect(")")
        self._expect("=")
        return Assign(names, self._value(";"), is_list)

    def _if(self) -> Step:
        branches = [(self._value("THEN"), self._then())]
        while self._skip("ELSEIF"):
            branches.append((self._value("THEN"), self._then()))
        otherwise = self.body(frozenset({"END"})) if self._skip("ELSE") else ()
        self._end("IF")
        return If(tuple(branches), otherwise)

    def _then(self) -> Body:
        self._expect("THEN")
        return self.body(frozenset({"ELSEIF", "ELSE", "END"}))

    def _case(self) -> Step:
        """CASE is an IF; what it compares is computed once, and kept in a variable."""
        searched = None if self._word() == "WHEN" else self._value("WHEN")
        branches = []
        while self._skip("WHEN"):
            condition = self._value("THEN")
            if searched is not None:
                condition = _equal(condition)
            self._expect("THEN")
            branches.append((condition, self.body(frozenset({"WHEN", "ELSE", "END"}))))
        otherwise = self.body(frozenset({"END"})) if self._skip("ELSE") else ()
        self._end("CASE")
        if not branches:
            raise self._unexpected()
        chosen = If(tuple(branches), otherwise)
        if searched is None:
            return chosen
        return Block((Declare((_SEARCHED,), None, searched), chosen), None)

    def _execute(self) -> Step:
        self._expect("IMMEDIATE")
        value = self._value("INTO", "USING", ";")
        into = self._names() if self._skip("INTO") else ()
        using: list[tuple[Statement, str]] = []
        if self._skip("USING"):
            while not using or self._skip(","):
                given = self._value("AS", ",", ";")
                using.append((given, self._name() if self._skip("AS") else ""))
        return Execute(value, into, tuple(using))

    def _loop(self) -> Step:
        body = self.body(frozenset({"END"}))
        self._end("LOOP")
        return Loop(None, body)

    def _while(self) -> Step:
        condition = self._value("DO")
        self._expect("DO")
        body = self.body(frozenset({"END"}))
        self._end("WHILE")
        return Loop(condition, body)

    def _repeat(self) -> Step:
        body = self.body(frozenset({"UNTIL"}))
        self._expect("UNTIL")
        condition = self._value("END")
        self._end("REPEAT")
        return Loop(condition, body, repeats=True)

    def _for(self) -> Step:
        name = self._name()
        self._expect("IN")
        self._expect("(")
        _, tokens = self._until(")")
        query = statement_of(self._sql, tokens)
        self._expect(")")
        self._expect("DO")
        body = self.body(frozenset({"END"}))
        self._end("FOR")
        return For(name, query, body)

    def _begin(self) -> Block:
        body = self.body(frozenset({"EXCEPTION", "END"}))
        handler = None
        if self._skip("EXCEPTION"):
            for word in ("WHEN", "ERROR", "THEN"):
                self._expect(word)
            handler = self.body(frozenset({"END"}))
        self._expect("END")
        return Block(body, handler)

    def _raise(self) -> Step:
        if not self._skip("USING"):
            return Raise(None)
        self._expect("MESSAGE")
        self._expect("=")
        return Raise(self._value(";"))

    def _assert(self) -> Step:
        condition = self._value("AS", ";")
        message = ""
        if self._skip("AS"):
            message = self._tokens[self._at].text
            self._at += 1
        return Check(condition, message)

    def _jump(self, word: str) -> Step:
        self._at += 1
        kind = _JUMPS[word]
        if self._word() == ";" or self._at >= len(self._tokens):
            return Jump(kind)
        label = self._name()
        is_loop = self._labels.get(label.lower())
        if kind == "RETURN" or is_loop is None or (kind == "CONTINUE" and not is_loop):
            raise invalid_query(f"Label not found: {label} (for {word})")
        return Jump(kind, label.lower())

    def _transaction(self, word: str) -> Step:
        self._at += 1
        self._skip("TRANSACTION")
        return Transaction(word)

    def _statement(self) -> Statement:
        _, tokens = self._until(";")
        return statement_of(self._sql, tokens)


def _equal(value: Statement) -> Statement:
    """Whether the value that CASE has computed is this one."""
    given = exp.Paren(this=value.tree.expressions[0].unalias().copy())
    equal = exp.EQ(this=exp.column(_SEARCHED, quoted=True), expression=given)
    return Statement(value.text, exp.select(equal), "SELECT")


_SEARCHED = f"{GENERATED}case"
_WITH_LABEL = ("LOOP", "WHILE", "REPEAT", "FOR", "BEGIN")
_STEPS = frozenset(
    {
        "DECLARE", "SET", "IF", "LOOP", "WHILE", "REPEAT", "FOR", "BEGIN", "RAISE", "ASSERT",
        "CALL", "CASE", "EXECUTE",
    }
)  # fmt: skip
