"""Where a worker finds the value of a secret: its variables, and a directory of files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from workers.errors import HostLacks, TaskFailed
from workers.secrecy.masks import LEAST, MOST

VARIABLE: Final = "PYDAG_SECRET_"

_taken: dict[str, str] = {}


def take_out() -> None:
    """From now on the variables are known here only, and not in this process's environment.

    So a function that prints it, or a process that it starts, shows none of them.
    """
    for variable in [name for name in os.environ if name.startswith(VARIABLE)]:
        _taken[variable] = os.environ.pop(variable)


def find(name: str, directory: Path | None) -> str | None:
    """The value, as a variable or a file of this host has it; None if there is none.

    Of a file one line break at its end does not count.
    """
    variable = VARIABLE + name
    if (value := _taken.get(variable, os.environ.get(variable))) is not None:
        return value
    if directory is None:
        return None
    try:
        with (directory.expanduser() / name).open("rb") as file:
            raw = file.read(MOST + 2)
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8"
        raise HostLacks(
            f"the file of the secret {name} can't be read here: {why}", f"secret:{name}"
        ) from None


def checked(name: str, value: str) -> str:
    """The value itself; `TaskFailed` if it could not be hidden."""
    if len(value.strip()) < LEAST:
        raise TaskFailed(
            f"the secret {name} has fewer than {LEAST} characters, which can't be hidden in logs",
            final=True,
        )
    if len(value.encode(errors="surrogatepass")) > MOST:
        raise TaskFailed(f"the secret {name} has more than {MOST:,} bytes", final=True)
    return value
