"""GoogleSQL's types, and which type values of several types have in common.

Rules: https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from pydag_emulators.bigquery.names import quote
from pydag_emulators.bigquery.schema import SQL_NAMES, Field


@dataclass(frozen=True)
class Type:
    """A type: `kind` is its name in GoogleSQL; NULL is that of a NULL without a type."""

    kind: str
    members: tuple[tuple[str, Type], ...] = ()
    """Of a STRUCT: names and types. Of an ARRAY: one, without a name, for its items."""

    @property
    def item(self) -> Type:
        """The type of an array's items."""
        return self.members[0][1]

    def member(self, name: str) -> Type | None:
        """The type of a struct's member."""
        return next((t for n, t in self.members if n.lower() == name.lower()), None)

    def __str__(self) -> str:
        if self.kind == "NULL":
            return "INT64"
        if not self.members:
            return self.kind
        return f"{self.kind}<{', '.join(f'{name} {t}'.strip() for name, t in self.members)}>"


@dataclass(frozen=True)
class Given:
    """The type of an expression, and whether it is a literal: literals fit more types."""

    type: Type
    literal: bool = False


Columns = tuple[tuple[str, Type | None], ...]
"""Names and types of a relation's columns; None is a type that isn't known."""

NULL = Type("NULL")
BOOL, INT64, FLOAT64, NUMERIC = Type("BOOL"), Type("INT64"), Type("FLOAT64"), Type("NUMERIC")
STRING, BYTES, JSON = Type("STRING"), Type("BYTES"), Type("JSON")
DATE, TIME = Type("DATE"), Type("TIME")
DATETIME, TIMESTAMP = Type("DATETIME"), Type("TIMESTAMP")

_NUMBERS = ("INT64", "NUMERIC", "FLOAT64")
_TIMES = ("DATE", "DATETIME", "TIME", "TIMESTAMP")


def array_of(item: Type) -> Type:
    """ARRAY<item>."""
    return Type("ARRAY", (("", item),))


def type_of_field(field: Field) -> Type:
    """The type of a table's column."""
    if field.get("mode") == "REPEATED":
        return array_of(type_of_field({**field, "mode": "NULLABLE"}))
    members = tuple((sub["name"], type_of_field(sub)) for sub in field.get("fields") or ())
    return Type(SQL_NAMES.get(field["type"], str(field["type"])), members)


_DATA_TYPES = {
    exp.DType.BIGINT: INT64, exp.DType.INT: INT64, exp.DType.DOUBLE: FLOAT64,
    exp.DType.TEXT: STRING, exp.DType.BOOLEAN: BOOL, exp.DType.DATE: DATE,
    exp.DType.TIMESTAMP: DATETIME, exp.DType.DATETIME: DATETIME,
    exp.DType.TIMESTAMPTZ: TIMESTAMP, exp.DType.TIME: TIME, exp.DType.DECIMAL: NUMERIC,
    exp.DType.BINARY: BYTES, exp.DType.VARBINARY: BYTES, exp.DType.JSON: JSON,
}  # fmt: skip


def type_of_data_type(node: exp.Expr) -> Type | None:
    """The type that is written in a CAST or a typed constructor."""
    if node.this == exp.DType.STRUCT:
        members = []
        for position, member in enumerate(node.expressions, 1):
            named = isinstance(member, exp.ColumnDef)
            type_ = type_of_data_type(member.kind if named else member)
            if type_ is None:
                return None
            members.append((member.name if named else f"_field_{position}", type_))
        return Type("STRUCT", tuple(members))
    if node.this == exp.DType.ARRAY and node.expressions:
        item = type_of_data_type(node.expressions[0])
        return None if item is None else array_of(item)
    return None if node.expressions else _DATA_TYPES.get(node.this)


_DUCK = {
    "INT64": "BIGINT", "NULL": "BIGINT", "FLOAT64": "DOUBLE", "NUMERIC": "DECIMAL(38, 9)",
    "STRING": "VARCHAR", "BYTES": "BLOB", "BOOL": "BOOLEAN", "TIMESTAMP": "TIMESTAMPTZ",
    "DATETIME": "TIMESTAMP",
}  # fmt: skip


def duck_type(type_: Type) -> str:
    """The DuckDB type of such values."""
    if type_.kind == "ARRAY":
        return f"{duck_type(type_.item)}[]"
    if type_.kind == "STRUCT":
        return f"STRUCT({', '.join(f'{quote(n)} {duck_type(t)}' for n, t in type_.members)})"
    return _DUCK.get(type_.kind, type_.kind)


def data_type(type_: Type) -> exp.DataType:
    """The type as a node of a tree."""
    if type_.kind == "STRUCT":
        inner = ", ".join(f"`{n}` {data_type(t).sql('bigquery')}" for n, t in type_.members)
        return exp.DataType.build(f"STRUCT<{inner}>", dialect="bigquery")
    if type_.kind == "ARRAY":
        return exp.DataType.build(
            f"ARRAY<{data_type(type_.item).sql('bigquery')}>", dialect="bigquery"
        )
    return exp.DataType.build(str(type_), dialect="bigquery")


def fits(given: Given, type_: Type) -> bool:
    """Whether a value may stand, without a cast, where `type_` is wanted."""
    of = given.type
    if of in (type_, NULL):
        return True
    if of.kind == "ARRAY" == type_.kind:
        return _same_shape(of.item, type_.item)
    if of.kind == "STRUCT" == type_.kind:
        return len(of.members) == len(type_.members) and all(
            fits(Given(one, given.literal), other)
            for (_, one), (_, other) in zip(of.members, type_.members, strict=True)
        )
    if of.kind in _NUMBERS and type_.kind in _NUMBERS:
        wider = _NUMBERS.index(of.kind) < _NUMBERS.index(type_.kind)
        return wider or (given.literal and (of, type_) == (FLOAT64, NUMERIC))
    if of == DATE and type_ == DATETIME:
        return True
    return given.literal and of == STRING and type_.kind in _TIMES


def _same_shape(one: Type, other: Type) -> bool:
    """Whether two types differ in the names of members only, or one is not known."""
    if NULL in (one, other):
        return True
    return (
        one.kind == other.kind
        and len(one.members) == len(other.members)
        and all(
            _same_shape(a, b) for (_, a), (_, b) in zip(one.members, other.members, strict=True)
        )
    )


def supertype(given: Sequence[Given]) -> Type | None:
    """The type that all of these values can have; the first struct names the members.

    None if there is none.
    """
    known = [one for one in given if one.type != NULL]
    if not known:
        return NULL
    if all(one.type.kind == "STRUCT" for one in known):
        return _struct(known)
    if all(one.type.kind == "ARRAY" for one in known):
        item = supertype([Given(one.type.item) for one in known if one.type.item != NULL])
        return (
            None
            if item is None or not all(fits(o, array_of(item)) for o in known)
            else (array_of(item))
        )
    # A literal takes the type of the others, if it fits them.
    for some in ([one for one in known if not one.literal], known):
        for candidate in [one.type for one in some]:
            if all(fits(one, candidate) for one in known):
                return candidate
    return None


def _struct(given: Sequence[Given]) -> Type | None:
    names = [name for name, _ in given[0].type.members]
    if any(len(one.type.members) != len(names) for one in given):
        return None
    members = []
    for index, name in enumerate(names):
        type_ = supertype([Given(one.type.members[index][1], one.literal) for one in given])
        if type_ is None:
            return None
        members.append((name, type_))
    return Type("STRUCT", tuple(members))
