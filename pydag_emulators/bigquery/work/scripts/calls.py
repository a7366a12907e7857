"""CALL: finds the procedure, and what its arguments are at the start and after its end."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.parse import Statement
from pydag_emulators.bigquery.sql.scripts.read import parse_steps
from pydag_emulators.bigquery.sql.scripts.steps import Call, CreateProcedure
from pydag_emulators.bigquery.sql.typing.scope import Variable
from pydag_emulators.bigquery.sql.values import null_value
from pydag_emulators.bigquery.work.scripts.state import State, declared_type


def definition_query(call: Call, system: dict[str, Variable]) -> Statement:
    """The query of the CREATE PROCEDURE that the call means.

    A query, since a script that goes on after a crash finds its answer again, even if the
    procedure has been replaced meanwhile.
    """
    parts = [part.name for part in call.path.parts]
    names = [system[name].value for name in ("@@project_id", "@@dataset_id")]
    known = [name.name if isinstance(name, exp.Literal) else "" for name in names]
    project, dataset, name = [*known[: 3 - len(parts)], *parts][-3:]
    if not dataset:
        raise invalid_query(f'Procedure "{name}" must be qualified with a dataset')
    if project != known[0]:
        raise unimplemented(f"procedures of another project ({project})")
    view = exp.Table(
        this=exp.to_identifier("INFORMATION_SCHEMA.ROUTINES", quoted=True),
        db=exp.to_identifier(dataset, quoted=True),
        catalog=exp.to_identifier(project, quoted=True),
    )
    is_it = exp.and_(
        exp.column("routine_name").eq(exp.Literal.string(name)),
        exp.column("routine_type").eq(exp.Literal.string("PROCEDURE")),
    )
    found = exp.select(exp.column("ddl")).from_(view).where(is_it)
    return Statement(call.text, exp.select(exp.Subquery(this=found)), "SELECT")


def procedure_in(text: exp.Expression, call: Call) -> CreateProcedure:
    """The procedure that this statement makes; NULL is none.

    Raises:
        ApiError: `invalidQuery` if there is none, or the call has too few or too many arguments.
    """
    path = call.path.sql("bigquery")
    if not isinstance(text, exp.Literal):
        raise invalid_query(f"Procedure not found: {path}")
    (made,) = parse_steps(text.name)
    assert isinstance(made, CreateProcedure)  # noqa: S101  no other statement is stored
    if len(call.arguments) != len(made.arguments):
        raise invalid_query(
            f"Number of arguments does not match for procedure {path}: it has "
            f"{len(made.arguments)}, not {len(call.arguments)}"
        )
    return made


def arguments_of(
    procedure: CreateProcedure, call: Call, state: State
) -> tuple[dict[str, Variable], dict[str, str]]:
    """The variables that the procedure begins with; and those of the caller that it sets: by name.

    Raises:
        ApiError: `invalidQuery`, `notImplemented`.
    """
    given: dict[str, Variable] = {}
    returned: dict[str, str] = {}
    for argument, value in zip(procedure.arguments, call.arguments, strict=True):
        type_ = None if argument.type is None else declared_type(argument.type)
        if argument.mode != "IN":
            name = _variable(value)
            returned[name] = argument.name
            type_ = type_ or state.known(name).type
        if argument.mode == "OUT" and type_ is not None:
            given[argument.name] = Variable(type_, null_value(type_))
        else:
            given[argument.name] = state.value(value, type_)
    return given, returned


def _variable(value: Statement) -> str:
    (node,) = value.tree.expressions
    if not isinstance(node, exp.Column) or len(node.parts) != 1:
        raise invalid_query(f"An OUT or INOUT argument must be a variable, not {value.text}")
    return str(node.name)
