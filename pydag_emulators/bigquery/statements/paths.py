"""Statements name tables and datasets by paths; the first parts of a path may be left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query
from pydag_emulators.bigquery.names import DatasetRef, TableRef, dataset_ref, table_ref

_PARTS = ("catalog", "db", "this")


@dataclass(frozen=True)
class Paths:
    """What the paths of one job mean: they get a project or the default dataset if they lack it."""

    project: str
    default: DatasetRef | None = None
    temporary: Mapping[str, TableRef] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        project: str,
        config: dict[str, Any],
        temporary: Mapping[str, TableRef] = MappingProxyType({}),
    ) -> Self:
        """The paths of a job with this configuration of its kind."""
        default = config.get("defaultDataset")
        return cls(project, dataset_ref(default, project) if default else None, temporary)

    def table(self, node: exp.Table) -> TableRef:
        """The table that the path `project.dataset.table`, or a shorter one, names."""
        parts = [part.name for part in node.parts]
        if len(parts) == 1 and parts[0] in self.temporary:
            return self.temporary[parts[0]]
        if len(parts) == 1 and self.default is None:
            raise invalid_query(
                f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).'
            )
        if len(parts) == 1 and self.default is not None:
            parts = [*self.default, parts[0]]
        elif len(parts) == 2:
            parts = [self.project, *parts]
        if len(parts) != 3:
            raise invalid_query(f'Invalid table name "{".".join(parts)}"')
        project, dataset, name = parts
        return table_ref(
            {"projectId": project, "datasetId": dataset, "tableId": name}, self.project
        )

    def dataset(self, node: exp.Table) -> DatasetRef:
        """The dataset that the path `project.dataset`, or `dataset`, names."""
        named = [part.name for part in (node.args.get(key) for key in _PARTS) if part]
        parts = ".".join(named).split(".")  # `project.dataset` may be one name in quotes
        if len(parts) == 1:
            parts = [self.project, *parts]
        if len(parts) != 2:
            raise invalid_query(f'Invalid dataset name "{".".join(parts)}"')
        return dataset_ref({"projectId": parts[0], "datasetId": parts[1]}, self.project)
