"""The TOML file that ``PYDAG_CONFIG`` names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from pydag_dist.errors import InvalidSettings

WORKER_TABLE: Final = "worker"
WEB_TABLE: Final = "web"
KEY_PREFIX: Final = r"^[A-Za-z0-9_.-]+$"
LOG_STORE: Final = r"^(gs://.+|/.*|[^:]*)$"  # no other service's address, nor one with a typo


def config_table(table: str) -> dict[str, Any]:
    """A table of the file that PYDAG_CONFIG names; `InvalidSettings` if it can't be read.

    "" is the file itself, without the tables of workers and of `pydag web`.
    """
    values = _config_file()
    if not table:
        return {k: value for k, value in values.items() if k not in {WORKER_TABLE, WEB_TABLE}}
    found = values.get(table, {})
    if not isinstance(found, dict):
        raise InvalidSettings(f"[{table}] in {os.environ['PYDAG_CONFIG']} must be a table")
    return found


def _config_file() -> dict[str, Any]:
    config = os.environ.get("PYDAG_CONFIG")
    if not config:
        return {}
    import tomllib

    try:
        return tomllib.loads(Path(config).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettings(
            f"PYDAG_CONFIG names {config}, which can't be read ({error.strerror}): name a file, or "
            "unset PYDAG_CONFIG"
        ) from None
    except ValueError as error:
        raise InvalidSettings(
            f"PYDAG_CONFIG names {config}, which isn't TOML ({error}): mend the file"
        ) from None
