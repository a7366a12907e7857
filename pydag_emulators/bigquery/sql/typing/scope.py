"""What a name means at some place of a query, and of which type it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.typing.types import Columns, Type


@dataclass(frozen=True)
class Variable:
    """A variable of a script: its type, and its value as an expression."""

    type: Type
    value: exp.Expression


@dataclass
class Scope:
    """The relations in a FROM clause by their names, inside the scope of the query around it."""

    outer: Scope | None = None
    ctes: dict[str, Columns | None] = field(default_factory=dict)
    ranges: dict[str, Columns | None] = field(default_factory=dict)
    """Alias, in lower case -> its columns; None if they are not known."""
    values: dict[str, Type | None] = field(default_factory=dict)
    """Relations whose rows are values, as of UNNEST, and aliases of the SELECT list."""
    items: set[str] = field(default_factory=set)
    """Relations of UNNEST whose rows have no members; such a name hides a column of that name."""
    merged: set[str] = field(default_factory=set)
    """Columns of USING, which a `*` has once."""
    hidden: set[str] = field(default_factory=set)
    """Columns that a `*` doesn't have, as _TABLE_SUFFIX."""
    variables: Mapping[str, Variable] = field(default_factory=dict)
    """Of the script around it, by their names in lower case; columns of that name hide them."""

    def cte(self, name: str) -> tuple[bool, Columns | None]:
        """Whether there is such a common table, and its columns."""
        scope: Scope | None = self
        while scope is not None:
            if name.lower() in scope.ctes:
                return True, scope.ctes[name.lower()]
            scope = scope.outer
        return False, None

    def find(self, parts: Sequence[str]) -> Type | None:
        """The type of a path; None if it isn't known.

        Raises:
            ApiError: `invalidQuery` for a name that no relation has.
        """
        names = [part.lower() for part in parts]
        scope: Scope | None = self
        while scope is not None:
            found, type_ = scope.here(names)
            if found:
                return type_
            if names[0] in scope.variables:
                return _member(scope.variables[names[0]].type, names[1:])
            scope = scope.outer
        raise invalid_query(f"Unrecognized name: {parts[0]}")

    def variable(self, parts: Sequence[str]) -> Variable | None:
        """The variable that a path begins with, if it is none of a relation.

        Raises:
            ApiError: `notImplemented` if it can't be known which it is.
        """
        names = [part.lower() for part in parts]
        unknown = False
        scope: Scope | None = self
        while scope is not None:
            if names[0] in scope.variables:
                if unknown:
                    raise unimplemented(f"the variable {parts[0]} beside unknown columns")
                return scope.variables[names[0]]
            found, _ = scope.here(names)
            if found and all(columns is not None for columns in scope.ranges.values()):
                return None
            unknown = unknown or found
            scope = scope.outer
        return None

    def here(self, names: list[str]) -> tuple[bool, Type | None]:
        """Whether a path begins in this scope itself, and its type."""
        head, *rest = names
        if any(columns is None for columns in self.ranges.values()):
            return True, None
        is_range = bool(rest) and head in self.ranges
        for columns in () if is_range else self.ranges.values():
            found, type_ = _column(columns or (), head)
            if found:
                return True, _member(type_, rest)
        if head in self.values:
            return True, _member(self.values[head], rest)
        row = self.ranges.get(head)
        if row is None:
            return False, None
        if not rest:
            if self.hidden_in(head):
                raise unimplemented(f"{head} as a value: it has pseudo columns")
            return True, row_type(row)
        return True, _member(_column(row, rest[0])[1], rest[1:])

    def hides_column(self, name: str) -> bool:
        """Whether a name means the item of an UNNEST, and not a column that there is, too."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.items:
                others = [columns for key, columns in scope.ranges.items() if key != name]
                return any(column.lower() == name for one in others for column, _ in one or ())
            if scope.here([name])[0]:
                return False
            scope = scope.outer
        return False

    def hidden_in(self, name: str | None) -> list[str]:
        """The hidden columns of all relations, or of that one."""
        if name is None:
            return sorted(self.hidden)
        columns = self.ranges.get(name.lower()) or ()
        return sorted(self.hidden & {column.lower() for column, _ in columns})

    def star(self, name: str | None = None) -> Columns | None:
        """The columns of `*`, or of `name.*`; None if they are not known."""
        row = None if name is None else self.ranges.get(name.lower())
        if row is not None:
            return tuple(one for one in row if one[0].lower() not in self.hidden)
        if name is not None:
            found = self.find([name])
            if found is None or found.kind != "STRUCT":
                return None
            return found.members
        result: list[tuple[str, Type | None]] = []
        seen: set[str] = set()
        for columns in self.ranges.values():
            if columns is None:
                return None
            for column, type_ in columns:
                if column.lower() in self.hidden:
                    continue
                if column.lower() in self.merged:
                    if column.lower() in seen:
                        continue
                    seen.add(column.lower())
                result.append((column, type_))
        return tuple(result)


def _column(columns: Columns, name: str) -> tuple[bool, Type | None]:
    """Whether a relation has a column of that name, in lower case, and its type."""
    types = [type_ for label, type_ in columns if label.lower() == name]
    if len(types) > 1:
        raise invalid_query(f"Column name {name} is ambiguous")
    return (True, types[0]) if types else (False, None)


def row_type(columns: Columns) -> Type | None:
    """The type of a whole row."""
    members = tuple((name, type_) for name, type_ in columns if type_ is not None)
    return Type("STRUCT", members) if len(members) == len(columns) else None


def _member(type_: Type | None, path: list[str]) -> Type | None:
    for name in path:
        if type_ is None or type_.kind in ("JSON", "NULL"):
            return None
        type_ = member_of(type_, name)
    return type_


def member_of(type_: Type, name: str) -> Type:
    """The type of a struct's member.

    Raises:
        ApiError: `invalidQuery` if it is no struct, or has no such member.
    """
    member = type_.member(name)
    if type_.kind != "STRUCT":
        raise invalid_query(f"Cannot access field {name} on a value with type {type_}")
    if member is None:
        raise invalid_query(f"Field name {name} does not exist in {type_}")
    return member


UNKNOWN = Scope(ranges={"": None})
"""The scope of an expression of which nothing is known."""
