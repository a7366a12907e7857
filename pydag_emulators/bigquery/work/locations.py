"""Where a job runs: where the request says, else where its tables are, else in the US."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.names import DatasetRef, dataset_ref
from pydag_emulators.bigquery.service import Service
from pydag_emulators.bigquery.sql.scripts.read import parse_steps
from pydag_emulators.bigquery.sql.scripts.steps import statements_in
from pydag_emulators.bigquery.storage.catalog import find_dataset
from pydag_emulators.bigquery.storage.store import Cursor

DEFAULT = "US"


def normal(location: str) -> str:
    """Multi-regions in capitals, regions in small letters: `US`, `europe-west1`."""
    return location.upper() if location.upper() in ("US", "EU") else location.lower()


def location_of(
    service: Service, project: str, given: str | None, configuration: dict[str, Any]
) -> str:
    """The location of a new job."""
    if given:
        return normal(given)

    datasets = _datasets(project, configuration)
    if not datasets:
        return DEFAULT

    def first_known(cursor: Cursor) -> str:
        for ref in datasets:
            dataset = find_dataset(cursor, ref)
            if dataset is not None:
                return str(dataset["location"])
        return DEFAULT

    return service.store.transact(first_known)


def _datasets(project: str, configuration: dict[str, Any]) -> list[DatasetRef]:
    kinds = (configuration.get(kind) for kind in ("query", "load", "extract", "copy"))
    config: dict[str, Any] = next(filter(None, kinds), {})
    refs = [config.get(key) for key in ("destinationTable", "sourceTable", "defaultDataset")]
    refs += config.get("sourceTables") or []
    datasets = [dataset_ref(ref, project) for ref in refs if ref]
    try:
        statements = statements_in(parse_steps(str(config.get("query") or "")))
    except ApiError:
        return datasets  # the job itself will say what is wrong
    for statement in statements:
        for table in statement.tree.find_all(exp.Table):
            parts = [part.name for part in table.parts if part.name]
            if len(parts) == 2:
                datasets.append(DatasetRef(project, parts[0]))
            elif len(parts) == 3:
                datasets.append(DatasetRef(*parts[:2]))
    return datasets
