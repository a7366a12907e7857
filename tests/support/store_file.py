"""A new file of the local BigQuery that has its macros: to define them takes half a second."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pydag_emulators.bigquery.storage.store import MACROS_VERSION, Store
from tests.support.states import ROOT


def make_store_file(path: Path) -> Path:
    """A copy, at `path`, of a file that the first test that needs one makes."""
    made = ROOT / ".pytest_cache" / f"{MACROS_VERSION[:16]}.duckdb"
    if not made.exists():
        made.parent.mkdir(exist_ok=True)
        own = made.with_suffix(f".{os.getpid()}")
        Store(own).close()
        own.replace(made)
    shutil.copy(made, path)
    return path
