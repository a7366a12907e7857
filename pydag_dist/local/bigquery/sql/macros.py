"""DuckDB macros that give GoogleSQL's functions their own meaning, from `macros.sql`."""

from __future__ import annotations

from importlib.resources import files


def _read() -> list[str]:
    text = (files(__package__) / "macros.sql").read_text(encoding="utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in code.split(";\n") if statement.strip()]


MACROS = _read()
