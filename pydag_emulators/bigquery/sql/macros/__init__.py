"""DuckDB macros that give GoogleSQL's functions their own meaning.

They are in the `.sql` files beside this one, each of which may use those of the files before it.
"""

from __future__ import annotations

from importlib.resources import files


def _read() -> list[str]:
    sources = sorted(
        (file for file in files(__package__).iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    text = "\n".join(file.read_text(encoding="utf-8") for file in sources)
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in code.split(";\n") if statement.strip()]


MACROS = _read()
