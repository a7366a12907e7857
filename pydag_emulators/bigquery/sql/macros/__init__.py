"""DuckDB macros that give GoogleSQL's functions their own meaning.

They are in the `.sql` files beside this one, each of which may use those of the files before it.
"""

from __future__ import annotations

import re
from importlib.resources import files

_PARAMETERS = re.compile(r"\blambda (\w+(?:, \w+)*):")


def _read() -> list[str]:
    sources = sorted(
        (file for file in files(__package__).iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    text = "\n".join(file.read_text(encoding="utf-8") for file in sources)
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [_hygienic(statement.strip()) for statement in code.split(";\n") if statement.strip()]


def _hygienic(macro: str) -> str:
    """Names for the parameters of lambdas that no table has.

    DuckDB takes `t.a` for the column of a query's table `t`, even where a lambda has a `t`.
    """
    names = {name for found in _PARAMETERS.findall(macro) for name in found.split(", ")}
    for name in sorted(names):
        if re.search(rf"\b{name}\.", macro):
            macro = re.sub(rf"(?<![\w.'])(?={name}\b(?!'))", "bq_", macro)
    return macro


MACROS = _read()
