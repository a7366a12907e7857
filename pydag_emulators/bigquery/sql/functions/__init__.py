"""The GoogleSQL that is supported: node types kept as they are, and node types lowered."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.sql.functions import (
    aggregates,
    arrays,
    casts,
    clauses,
    json,
    json_changes,
    numbers,
    printf,
    strings,
    structs,
    structure,
)
from pydag_emulators.bigquery.sql.functions.build import Lowering
from pydag_emulators.bigquery.sql.functions.times import arithmetic, formats, intervals, values

_MODULES = (
    structure,
    clauses,
    structs,
    casts,
    numbers,
    strings,
    printf,
    arithmetic,
    formats,
    intervals,
    values,
    json,
    json_changes,
    arrays,
    aggregates,
)

KEEP: frozenset[type[exp.Expression]] = frozenset(
    kind for module in _MODULES for kind in module.KEEP
)
LOWER: Lowering = {kind: lower for module in _MODULES for kind, lower in module.LOWER.items()}
