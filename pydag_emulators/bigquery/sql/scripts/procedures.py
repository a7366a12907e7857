"""Reads CREATE PROCEDURE and CALL."""

from __future__ import annotations

from abc import ABC, abstractmethod

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.parse import parse_one
from pydag_emulators.bigquery.sql.scripts.steps import Argument, Block, Call, CreateProcedure, Step
from pydag_emulators.bigquery.sql.scripts.tokens import TokenReader


class ProcedureReader(TokenReader, ABC):
    """Reads procedures; a subclass reads the blocks that are their bodies."""

    def __init__(self, sql: str, tokens: list[Token]) -> None:
        super().__init__(sql, tokens)
        self._labels: dict[str, bool] = {}  # of what is around: whether it is a loop

    @abstractmethod
    def _begin(self) -> Block:
        """A block, whose BEGIN has been read."""

    def _create_procedure(self) -> Step:
        first = self._at
        self._expect("CREATE")
        replaces = self._skip("OR")
        if replaces:
            self._expect("REPLACE")
        self._expect("PROCEDURE")
        is_optional = self._skip("IF")
        if is_optional:
            self._expect("NOT")
            self._expect("EXISTS")
        path = self._path()
        arguments = self._listed(self._argument)
        if len({argument.name for argument in arguments}) < len(arguments):
            raise invalid_query("Arguments of a procedure must have different names")
        if self._skip("OPTIONS"):
            self._listed(self._option)
        if self._word() in ("EXTERNAL", "LANGUAGE", "WITH"):
            raise unimplemented("procedures in other languages, or with a connection")
        start = self._at
        self._expect("BEGIN")
        outer, self._labels = self._labels, {}
        body = self._begin()
        self._labels = outer
        tree = exp.Create(
            this=exp.UserDefinedFunction(this=path),
            kind="PROCEDURE",
            replace=replaces,
            exists=is_optional,
            expression=exp.Literal.string(self._text_from(first)),
        )
        return CreateProcedure(
            self._text_from(first),
            tree,
            "CREATE_PROCEDURE",
            arguments,
            body,
            self._text_from(start),
        )

    def _option(self) -> None:
        name = self._name()
        if name.lower() not in ("strict_mode", "description"):
            raise unimplemented(f"the option {name} of a procedure")
        self._expect("=")
        self._until(",", ")")

    def _argument(self) -> Argument:
        mode = self._word() if self._word() in ("IN", "OUT", "INOUT") else "IN"
        self._skip(mode)
        name = self._name()
        text = self._type_text()
        return Argument(name.lower(), mode, None if text.upper() == "ANY TYPE" else type_in(text))

    def _call(self) -> Step:
        first = self._at - 1
        path = self._path()
        arguments = self._listed(lambda: self._value(",", ")"))
        return Call(self._text_from(first), path, arguments)


def type_in(text: str) -> exp.DataType:
    """The type that is written so."""
    cast = parse_one(f"SELECT CAST(NULL AS {text})").expressions[0]
    type_: exp.DataType = cast.args["to"]
    return type_
