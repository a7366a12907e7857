"""The kinds of jobs: which function checks a job before it is accepted, and which one runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydag_emulators.bigquery.service import Kinds
from pydag_emulators.bigquery.work.copy import check_copy, run_copy
from pydag_emulators.bigquery.work.extract import check_extract, run_extract
from pydag_emulators.bigquery.work.load import check_load, run_load
from pydag_emulators.bigquery.work.query import check_query, run_query

KINDS: Kinds = {"query": run_query, "load": run_load, "extract": run_extract, "copy": run_copy}
CHECKS: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "query": check_query,
    "load": check_load,
    "extract": check_extract,
    "copy": check_copy,
}
