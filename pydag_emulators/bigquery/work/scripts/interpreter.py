"""Executes the steps of a script: conditions, loops, handlers, calls of procedures."""

from __future__ import annotations

from collections import ChainMap

from sqlglot import exp

from pydag_emulators.bigquery.errors import ApiError, invalid_query
from pydag_emulators.bigquery.jobs.job import Outcome
from pydag_emulators.bigquery.names import DatasetRef
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.sql.scripts.steps import (
    Assign,
    Block,
    Body,
    Call,
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
from pydag_emulators.bigquery.sql.typing.scope import Variable
from pydag_emulators.bigquery.sql.typing.types import STRING, Type, type_of_field
from pydag_emulators.bigquery.sql.values import cell_value, struct_value, text_variable
from pydag_emulators.bigquery.work.scripts.calls import arguments_of, definition_query, procedure_in
from pydag_emulators.bigquery.work.scripts.dynamic import dynamic_statement
from pydag_emulators.bigquery.work.scripts.state import Executor, State

_NOT_HANDLED = ("notImplemented", "stopped")
_MOST_CALLS = 50


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


class Interpreter:
    """One run of a script; `temporary` is the dataset of its temporary tables."""

    def __init__(self, executor: Executor, temporary: DatasetRef, prefix: str) -> None:
        self._executor = executor
        self._state = State(executor, temporary, prefix)
        self._error: ApiError | None = None
        self._calls = 0

    def run(self, body: Body) -> Outcome:
        """Run the whole script; the outcome is that of its last statement.

        Raises:
            ApiError: the error that no handler has taken.
        """
        self._until_return(body)
        return self._state.last

    def _until_return(self, body: Body) -> None:
        try:
            self._body(body)
        except _Jumped as jump:
            if jump.kind != "RETURN":
                raise invalid_query(f"{jump.kind} is only allowed inside of a loop") from jump

    def _body(self, body: Body) -> None:
        for step in body:
            self._executor.check()
            self._step(step)

    def _step(self, step: Step) -> None:  # noqa: C901, PLR0912  one case for each kind
        match step:
            case Statement():
                self._state.execute(step)
            case Declare():
                self._state.declare(step)
            case Assign():
                self._state.assign(step)
            case If():
                chosen = (body for asked, body in step.branches if self._state.is_true(asked))
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
                if not self._state.is_true(step.condition):
                    message = step.message or step.condition.text
                    raise invalid_query(f"Assertion failed: {message}")
            case Transaction():
                self._executor.transaction(step.kind)
            case Execute():
                self._execute(step)
            case Call():
                self._call(step)

    def _execute(self, step: Execute) -> None:
        """EXECUTE IMMEDIATE: its text knows no variables but those of the system."""
        state = self._state
        text = state.value(step.value, STRING).value
        given = [(name, state.value(one, None).value) for one, name in step.using]
        statement = dynamic_statement(text, given, is_query=bool(step.into))
        with state.only(ChainMap()):
            state.execute(statement)
        if step.into:
            state.put_row(step.into)

    def _call(self, step: Call) -> None:
        """A procedure knows its arguments only; what it gives to some of them comes back."""
        if self._calls >= _MOST_CALLS:
            raise invalid_query(f"Procedures are nested deeper than {_MOST_CALLS}")
        state = self._state
        query = definition_query(step, self._executor.system_variables())
        procedure = procedure_in(state.value(query, STRING).value, step)
        given, returned = arguments_of(procedure, step, state)
        variables = ChainMap(given)
        self._calls += 1
        try:
            with state.only(variables):
                self._until_return((procedure.body,))
        finally:
            self._calls -= 1
        for name, parameter in returned.items():
            state.put(name, variables[parameter].value)

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
        return step.condition is not None and self._state.is_true(step.condition)

    def _for(self, step: For) -> None:
        state = self._state
        state.execute(step.query)
        outcome = state.last
        fields = outcome.schema or []
        type_ = Type("STRUCT", tuple((f["name"], type_of_field(f)) for f in fields))
        with state.only(state.variables.new_child()):
            for cells in self._executor.rows(outcome):
                row = struct_value(
                    [cell_value(c, t) for c, (_, t) in zip(cells, type_.members, strict=True)],
                    type_,
                )
                state.variables.maps[0][step.name.lower()] = Variable(type_, row)
                try:
                    self._body(step.body)
                except _Jumped as jump:
                    if jump.ends(step.label):
                        return

    def _block(self, step: Block) -> None:
        state = self._state
        try:
            with state.only(state.variables.new_child()):
                self._body(step.body)
        except ApiError as error:
            if step.handler is None or error.reason in _NOT_HANDLED:
                raise
            before, self._error = self._error, error
            with state.only(state.variables.new_child(self._told(error))):
                self._body(step.handler)
            self._error = before
        except _Jumped as jump:
            if not step.label or jump.label != step.label:
                raise

    def _told(self, error: ApiError) -> dict[str, Variable]:
        return {
            "@@error.message": text_variable(error.message),
            "@@error.statement_text": text_variable(self._state.text),
        }

    def _raised(self, step: Raise) -> ApiError:
        if step.message is not None:
            value = self._state.value(step.message, STRING).value
            return invalid_query(value.name if isinstance(value, exp.Literal) else "NULL")
        if self._error is None:
            return invalid_query("RAISE without USING MESSAGE is only allowed in a handler")
        return self._error
