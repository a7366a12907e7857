"""The steps of a script, as `read` makes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from pydag_emulators.bigquery.sql.parse import Statement


@dataclass(frozen=True)
class Declare:
    """DECLARE: `default` is a SELECT of one value, as all expressions of steps are."""

    names: tuple[str, ...]
    type: exp.DataType | None
    default: Statement | None


@dataclass(frozen=True)
class Assign:
    """SET of one variable, or of several to the members of a struct."""

    names: tuple[str, ...]
    value: Statement
    is_list: bool = False
    """Whether the names stand in parentheses."""


@dataclass(frozen=True)
class If:
    """IF: the first branch whose condition is true."""

    branches: tuple[tuple[Statement, Body], ...]
    otherwise: Body


@dataclass(frozen=True)
class Loop:
    """LOOP, WHILE, or REPEAT, whose condition ends it and is asked after each round."""

    condition: Statement | None
    body: Body
    repeats: bool = False
    label: str = ""


@dataclass(frozen=True)
class For:
    """FOR: the variable is a row of the query, as a struct."""

    name: str
    query: Statement
    body: Body
    label: str = ""


@dataclass(frozen=True)
class Block:
    """BEGIN … END: its own variables; `handler` runs after an error of the body."""

    body: Body
    handler: Body | None
    label: str = ""


@dataclass(frozen=True)
class Jump:
    """BREAK, CONTINUE or RETURN; with a label BREAK and CONTINUE are of that loop or block."""

    kind: str
    label: str = ""


@dataclass(frozen=True)
class Raise:
    """RAISE; without a message the error that is being handled."""

    message: Statement | None


@dataclass(frozen=True)
class Check:
    """ASSERT."""

    condition: Statement
    message: str


@dataclass(frozen=True)
class Transaction:
    """BEGIN, COMMIT or ROLLBACK TRANSACTION."""

    kind: str


@dataclass(frozen=True)
class Execute:
    """EXECUTE IMMEDIATE of a text; `using` are its parameters with their names."""

    value: Statement
    into: tuple[str, ...]
    using: tuple[tuple[Statement, str], ...]


@dataclass(frozen=True)
class Argument:
    """What a procedure is given: `mode` is IN, OUT or INOUT; ANY TYPE is None."""

    name: str
    mode: str
    type: exp.DataType | None


@dataclass(frozen=True)
class CreateProcedure(Statement):
    """CREATE PROCEDURE: all of it is also in its text."""

    arguments: tuple[Argument, ...]
    body: Block
    definition: str
    """The text of the body."""


@dataclass(frozen=True)
class Call:
    """CALL of the procedure at that path."""

    text: str
    path: exp.Table
    arguments: tuple[Statement, ...]


Step = (
    Statement | Declare | Assign | If | Loop | For | Block | Jump | Raise | Check | Transaction
    | Execute | Call
)  # fmt: skip
Body = tuple[Step, ...]


def statements_in(body: Body) -> Iterator[Statement]:
    """All statements and expressions of a script, in the order in which they are written."""
    for step in body:
        yield from _statements(step)


def _statements(step: Step) -> Iterator[Statement]:
    if isinstance(step, Statement):
        yield step
    elif isinstance(step, If):
        for condition, body in step.branches:
            yield condition
            yield from statements_in(body)
        yield from statements_in(step.otherwise)
    elif isinstance(step, Block):
        yield from statements_in(step.body)
        yield from statements_in(step.handler or ())
    elif isinstance(step, Loop) and step.repeats:
        yield from statements_in(step.body)
        yield from filter(None, [step.condition])
    else:
        own = (getattr(step, name, None) for name in _OWN)
        yield from (one for one in own if isinstance(one, Statement))
        yield from (one for one, _ in getattr(step, "using", ()))
        yield from getattr(step, "arguments", ())
        yield from statements_in(getattr(step, "body", ()))


_OWN = ("default", "value", "condition", "query", "message")
