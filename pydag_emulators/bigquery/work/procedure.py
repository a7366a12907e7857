"""Executes the steps of a script: variables, conditions, loops, handlers, temporary names."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable
from itertools import islice
from typing import Any, Protocol

from sqlglot import exp

from pydag_emulators.bigquery.errors import ApiError, invalid_query, unimplemented
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.names import DatasetRef, TableRef
from pydag_emulators.bigquery.schema import Field
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.sql.steps import (
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
from pydag_emulators.bigquery.sql.values import (
    cell_value,
    null_value,
    struct_value,
    text_variable,
)
from pydag_emulators.bigquery.statements.context import Names
from pydag_emulators.bigquery.work.dynamic import dynamic_statement

_NOT_HANDLED = ("notImplemented", "stopped")


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


class _Jumped(Exception):
    def __init__(self, jump: Jump) -> None:
        super().__init__(jump)
        self.kind, self.label = jump.kind, jump.label

    def ends(self, label: str) -> bool:
        """Whether the loop of that label ends; else it goes on.

        Raises:
            _Jumped: it is not this loop that is meant.
        """
        if self.kind == "RETURN" or self.label not in ("", label):
            raise self
        return self.kind == "BREAK"


class Procedure:
    """One run of a script; `temporary` is the dataset of its temporary tables."""

    def __init__(self, executor: Executor, temporary: DatasetRef, prefix: str) -> None:
        self._executor, self._dataset, self._prefix = executor, temporary, prefix
        self._variables: ChainMap[str, Variable] = ChainMap()
        self._tables: dict[str, TableRef] = {}
        self._functions = Functions()
        self._error: ApiError | None = None
        self._text = ""
        self.last = Outcome()
        """Of the last statement."""

    def run(self, body: Body) -> Outcome:
        """Run the whole script; the outcome is that of its last statement.

        Raises:
            ApiError: the error that no handler has taken.
        """
        try:
            self._body(body)
        except _Jumped as jump:
            if jump.kind != "RETURN":
                raise invalid_query(f"{jump.kind} is only allowed inside of a loop") from jump
        return self.last

    def _body(self, body: Body) -> None:
        for step in body:
            self._executor.check()
            self._step(step)

    def _step(self, step: Step) -> None:  # noqa: C901, PLR0912  one case for each kind
        match step:
            case Statement():
                self._statement(step)
            case Declare():
                self._declare(step)
            case Assign():
                self._assign(step)
            case If():
                chosen = (body for asked, body in step.branches if self._is_true(asked))
                self._body(next(chosen, step.otherwise))
            case Loop():
                self._loop(step)
            case For():
                self._for(step)
            case Block():
                self._block(step)
            case Jump():
                raise _Jumped(step)
            case Raise():
                raise self._raised(step)
            case Check():
                if not self._is_true(step.condition):
                    message = step.message or step.condition.text
                    raise invalid_query(f"Assertion failed: {message}")
            case Transaction():
                self._executor.transaction(step.kind)
            case Execute():
                self._execute(step)

    def _statement(self, statement: Statement) -> None:
        self._text = statement.text
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
        variables = dict(self._variables)
        if "@@" in text:
            variables |= self._system(text)
        return Names(variables, dict(self._tables))

    def _system(self, text: str) -> dict[str, Variable]:
        """The values of the system variables that don't stand among the others."""
        is_counted = "numDmlAffectedRows" in self.last.statistics.get("query", {})
        if "@@row_count" in text.lower() and not is_counted:
            raise unimplemented("@@row_count after a statement that isn't DML")
        errors = dict.fromkeys(("@@error.message", "@@error.statement_text"), text_variable(None))
        known = {**errors, **self._executor.system_variables(), **self._variables}
        if is_counted:
            count = cell_value(str(self.last.rows), INT64)
            known["@@row_count"] = Variable(INT64, count)
        return known

    def _execute(self, step: Execute) -> None:
        """EXECUTE IMMEDIATE: its text knows no variables but those of the system."""
        text = self._value(step.value, STRING).value
        given = [(name, self._value(one, None).value) for one, name in step.using]
        statement = dynamic_statement(text, given, is_query=bool(step.into))
        outer, self._variables = self._variables, ChainMap()
        try:
            self._statement(statement)
        finally:
            self._variables = outer
        if step.into:
            self._into(step.into)

    def _into(self, names: tuple[str, ...]) -> None:
        """Put the only row of the last query into variables."""
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
            type_ = type_of_field(field)
            cell = rows[0][index] if rows else None
            one = Statement(name, exp.select(cell_value(cell, type_)), "SELECT")
            self._set(name, self._value(one, self._known(name).type))

    def _value(self, statement: Statement, to: Type | None) -> Variable:
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

    def _is_true(self, condition: Statement) -> bool:
        value = self._value(condition, BOOL).value
        return isinstance(value.this, exp.Literal) and value.this.name == "true"

    def _declare(self, step: Declare) -> None:
        type_ = None
        if step.type is not None:
            type_ = type_of_data_type(step.type)
            if type_ is None:
                raise unimplemented(f"variables of the type {step.type.sql('bigquery')}")
        for name in step.names:
            if name.lower() in self._variables.maps[0]:
                raise invalid_query(f"Variable '{name}' redeclaration")
        if step.default is not None:
            value = self._value(step.default, type_)
        elif type_ is not None:
            value = Variable(type_, null_value(type_))
        self._variables.maps[0].update({name.lower(): value for name in step.names})

    def _assign(self, step: Assign) -> None:
        if step.names[0].startswith("@@"):
            setting = self._value(step.value, STRING).value
            if step.names[0] != "@@time_zone" or setting.name not in ("UTC", "Etc/UTC"):
                raise unimplemented(f"SET {step.names[0]} = {step.value.text}")
            return
        known = [self._known(name) for name in step.names]
        if not step.is_list:
            self._set(step.names[0], self._value(step.value, known[0].type))
            return
        value = self._value(step.value, None)
        members = value.value.expressions if isinstance(value.value, exp.Struct) else []
        if len(members) != len(known):
            raise invalid_query(f"SET of {len(known)} variables needs as many values")
        for name, member, variable in zip(step.names, members, known, strict=True):
            one = Statement(step.value.text, exp.select(member.expression.copy()), "SELECT")
            self._set(name, self._value(one, variable.type))

    def _known(self, name: str) -> Variable:
        if name.lower() not in self._variables:
            raise invalid_query(f"Undeclared variable: {name}")
        return self._variables[name.lower()]

    def _set(self, name: str, value: Variable) -> None:
        for scope in self._variables.maps:
            if name.lower() in scope:
                scope[name.lower()] = value
                return

    def _loop(self, step: Loop) -> None:
        asks_before = step.condition is not None and not step.repeats
        while not asks_before or self._is_true_of(step):
            self._executor.check()
            try:
                self._body(step.body)
            except _Jumped as jump:
                if jump.ends(step.label):
                    return
            if step.repeats and self._is_true_of(step):
                return

    def _is_true_of(self, step: Loop) -> bool:
        return step.condition is not None and self._is_true(step.condition)

    def _for(self, step: For) -> None:
        self._statement(step.query)
        outcome = self.last
        fields = outcome.schema or []
        type_ = Type("STRUCT", tuple((f["name"], type_of_field(f)) for f in fields))
        self._variables = self._variables.new_child()
        try:
            for cells in self._executor.rows(outcome):
                row = struct_value(
                    [cell_value(c, t) for c, (_, t) in zip(cells, type_.members, strict=True)],
                    type_,
                )
                self._variables.maps[0][step.name.lower()] = Variable(type_, row)
                try:
                    self._body(step.body)
                except _Jumped as jump:
                    if jump.ends(step.label):
                        return
        finally:
            self._variables = self._variables.parents

    def _block(self, step: Block) -> None:
        outer = self._variables
        try:
            self._variables = outer.new_child()
            self._body(step.body)
        except ApiError as error:
            if step.handler is None or error.reason in _NOT_HANDLED:
                raise
            self._variables = outer.new_child(self._told(error))
            before, self._error = self._error, error
            self._body(step.handler)
            self._error = before
        except _Jumped as jump:
            if not step.label or jump.label != step.label:
                raise
        finally:
            self._variables = outer

    def _told(self, error: ApiError) -> dict[str, Variable]:
        return {
            "@@error.message": text_variable(error.message),
            "@@error.statement_text": text_variable(self._text),
        }

    def _raised(self, step: Raise) -> ApiError:
        if step.message is not None:
            value = self._value(step.message, STRING).value
            return invalid_query(value.name if isinstance(value, exp.Literal) else "NULL")
        if self._error is None:
            return invalid_query("RAISE without USING MESSAGE is only allowed in a handler")
        return self._error
