"""What a script knows while it runs: variables, temporary tables, functions, its last outcome."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.names import DatasetRef, TableRef
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.sql.functions.build import GENERATED
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.sql.scripts.steps import Assign, Declare
from pydag_emulators.bigquery.sql.temporary import Functions, without_temporary
from pydag_emulators.bigquery.sql.typing.coerce import assigned
from pydag_emulators.bigquery.sql.typing.scope import Variable
from pydag_emulators.bigquery.sql.typing.types import (
    BOOL,
    INT64,
    STRING,
    Type,
    type_of_data_type,
    type_of_field,
)
from pydag_emulators.bigquery.sql.values import cell_value, null_value, text_variable
from pydag_emulators.bigquery.statements.context import Names


class Executor(Protocol):
    """How the statements of a script are carried out."""

    def execute(self, statement: Statement, names: Names) -> Outcome:
        """Run a statement."""

    def value(self, statement: Statement, names: Names) -> tuple[Field, Any]:
        """The column and the cell of the only row of a query; NULL if it has no row."""

    def rows(self, outcome: Outcome) -> Iterable[list[Any]]:
        """The cells of each row of a query."""

    def check(self) -> None:
        """Raise when the script is to stop."""

    def system_variables(self) -> dict[str, Variable]:
        """What the script can ask of itself, as `@@script.job_id`."""

    def transaction(self, kind: str) -> None:
        """BEGIN, COMMIT or ROLLBACK a transaction of several statements."""


class State:
    """Changes with every step; `temporary` is the dataset of the script's temporary tables."""

    def __init__(self, executor: Executor, temporary: DatasetRef, prefix: str) -> None:
        self._executor, self._dataset, self._prefix = executor, temporary, prefix
        self._tables: dict[str, TableRef] = {}
        self._functions = Functions()
        self.variables: ChainMap[str, Variable] = ChainMap()
        self.last = Outcome()
        """Of the last statement."""
        self.text = ""
        """Of the last statement."""

    @contextmanager
    def only(self, variables: ChainMap[str, Variable]) -> Iterator[None]:
        """In this context the script has these variables."""
        outer, self.variables = self.variables, variables
        try:
            yield
        finally:
            self.variables = outer

    def execute(self, statement: Statement) -> None:
        """Run a statement; what it makes for the script only is kept here."""
        self.text = statement.text
        tree = statement.tree
        if statement.kind == "CREATE_FUNCTION" and tree.find(exp.TemporaryProperty):
            self._functions.add(tree)
            return
        name, plain = without_temporary(tree)
        if name is not None:
            self._tables[name] = TableRef(*self._dataset, f"{self._prefix}_{name}")
        called = self._functions.written_out(plain)
        self.last = self._executor.execute(
            Statement(statement.text, called, statement.kind), self._names(statement.text)
        )

    def _names(self, text: str) -> Names:
        variables = dict(self.variables)
        if "@@" in text:
            variables |= self._system(text)
        return Names(variables, dict(self._tables))

    def _system(self, text: str) -> dict[str, Variable]:
        """The values of the system variables that don't stand among the others."""
        is_counted = "numDmlAffectedRows" in self.last.statistics.get("query", {})
        if "@@row_count" in text.lower() and not is_counted:
            raise unimplemented("@@row_count after a statement that isn't DML")
        errors = dict.fromkeys(("@@error.message", "@@error.statement_text"), text_variable(None))
        known = {**errors, **self._executor.system_variables(), **self.variables}
        if is_counted:
            count = cell_value(str(self.last.rows), INT64)
            known["@@row_count"] = Variable(INT64, count)
        return known

    def value(self, statement: Statement, to: Type | None) -> Variable:
        """The value of an expression, coerced to a type."""
        tree = self._functions.written_out(statement.tree)
        (given,) = tree.expressions
        value = given.this if isinstance(given, exp.Alias) else given
        of = value.copy() if to is None else assigned(value.copy(), to)
        tree.set("expressions", [exp.alias_(of, "value", quoted=True)])
        field, cell = self._executor.value(
            Statement(statement.text, tree, statement.kind), self._names(statement.text)
        )
        type_ = to or type_of_field(field)
        return Variable(type_, cell_value(cell, type_))

    def is_true(self, condition: Statement) -> bool:
        """Whether a condition is TRUE, neither FALSE nor NULL."""
        value = self.value(condition, BOOL).value
        return isinstance(value.this, exp.Literal) and value.this.name == "true"

    def declare(self, step: Declare) -> None:
        """Make variables in the innermost block; no block around it may have one of that name."""
        type_ = None if step.type is None else declared_type(step.type)
        for name in step.names:
            if name.lower() in self.variables and not name.startswith(GENERATED):
                raise invalid_query(f"Variable '{name}' redeclaration")
        if step.default is not None:
            value = self.value(step.default, type_)
        elif type_ is not None:
            value = Variable(type_, null_value(type_))
        self.variables.maps[0].update({name.lower(): value for name in step.names})

    def assign(self, step: Assign) -> None:
        """Give variables new values."""
        if step.names[0].startswith("@@"):
            setting = self.value(step.value, STRING).value
            if step.names[0] != "@@time_zone" or setting.name not in ("UTC", "Etc/UTC"):
                raise unimplemented(f"SET {step.names[0]} = {step.value.text}")
            return
        if not step.is_list:
            name = step.names[0]
            self._set(name, self.value(step.value, self.known(name).type))
            return
        for name in step.names:
            self.known(name)
        value = self.value(step.value, None)
        members = value.value.expressions if isinstance(value.value, exp.Struct) else []
        if len(members) != len(step.names):
            raise invalid_query(f"SET of {len(step.names)} variables needs as many values")
        for name, member in zip(step.names, members, strict=True):
            self.put(name, member.expression.copy())

    def put(self, name: str, value: exp.Expression) -> None:
        """Give a variable this value, coerced to its type."""
        one = Statement(name, exp.select(value), "SELECT")
        self._set(name, self.value(one, self.known(name).type))

    def put_row(self, names: tuple[str, ...]) -> None:
        """Put the only row of the last query into variables; without a row they are NULL."""
        fields = self.last.schema or []
        if len(fields) != len(names):
            raise invalid_query(
                f"EXECUTE IMMEDIATE with INTO clause of {len(names)} variables needs as many "
                f"columns, but the query has {len(fields)}"
            )
        rows = list(islice(self._executor.rows(self.last), 2))
        if len(rows) > 1:
            raise invalid_query("EXECUTE IMMEDIATE with INTO clause must return at most one row")
        for index, (name, field) in enumerate(zip(names, fields, strict=True)):
            self.put(name, cell_value(rows[0][index] if rows else None, type_of_field(field)))

    def known(self, name: str) -> Variable:
        """The variable of that name.

        Raises:
            ApiError: `invalidQuery` if there is none.
        """
        if name.lower() not in self.variables:
            raise invalid_query(f"Undeclared variable: {name}")
        return self.variables[name.lower()]

    def _set(self, name: str, value: Variable) -> None:
        for scope in self.variables.maps:
            if name.lower() in scope:
                scope[name.lower()] = value
                return


def declared_type(node: exp.Expression) -> Type:
    """The type of a variable or argument that is declared so.

    Raises:
        ApiError: `notImplemented`.
    """
    type_ = type_of_data_type(node)
    if type_ is None:
        raise unimplemented(f"variables of the type {node.sql('bigquery')}")
    return type_
