"""DuckDB macros that give GoogleSQL's functions their own meaning, from `macros.sql`.

A macro looks at `typeof(argument)`, which DuckDB folds to a constant: no cost per row.
"""

from __future__ import annotations

from importlib.resources import files

_TEXT = (files(__package__) / "macros.sql").read_text(encoding="utf-8")
_CODE = "\n".join(line for line in _TEXT.splitlines() if not line.startswith("--"))
MACROS = [statement.strip() for statement in _CODE.split(";\n") if statement.strip()]
