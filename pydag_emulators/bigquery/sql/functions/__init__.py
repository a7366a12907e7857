"""The GoogleSQL that is supported: node types kept as they are, and node types lowered."""

from __future__ import annotations

from sqlglot import exp

from pydag_emulators.bigquery.sql.functions import (
    aggregates,
    arrays,
    casts,
    formats,
    json,
    numbers,
    printf,
    strings,
    structs,
    structure,
    times,
)
from pydag_emulators.bigquery.sql.functions.build import Lowering

_MODULES = (
    structure,
    structs,
    casts,
    numbers,
    strings,
    printf,
    times,
    formats,
    json,
    arrays,
    aggregates,
)

KEEP: frozenset[type[exp.Expression]] = frozenset(
    kind for module in _MODULES for kind in module.KEEP
)
LOWER: Lowering = {kind: lower for module in _MODULES for kind, lower in module.LOWER.items()}
