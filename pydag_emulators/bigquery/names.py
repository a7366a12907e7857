"""How datasets and tables are named: in BigQuery, in messages, and inside the DuckDB file."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pydag_emulators.bigquery.errors import invalid, unimplemented

_DATASET_ID = re.compile(r"[A-Za-z0-9_]{1,1024}")
_TABLE_ID = re.compile(r"[\w\- ]{1,1024}")
_LABEL_KEY = re.compile(r"(?![\d_-])[\w-]{1,63}")
_LABEL_VALUE = re.compile(r"[\w-]{0,63}")
_MOST_LABELS = 64


def quote(identifier: str) -> str:
    """`identifier` as a quoted DuckDB name."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as a DuckDB string literal."""
    return "'" + text.replace("'", "''") + "'"


def _fold(identifier: str) -> str:
    # DuckDB's names ignore case, BigQuery's datasets and tables do not: `T` and `t` differ.
    return re.sub("[A-Z]", lambda match: "^" + match.group().lower(), identifier)


class DatasetRef(NamedTuple):
    """A dataset: `project:dataset` in messages."""

    project: str
    dataset: str

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}"

    @property
    def schema(self) -> str:
        """The DuckDB schema that holds the dataset's tables (unquoted)."""
        return _fold(str(self))

    @property
    def sql(self) -> str:
        """The DuckDB schema, quoted."""
        return quote(self.schema)

    def api(self) -> dict[str, str]:
        """The REST form, `DatasetReference`."""
        return {"projectId": self.project, "datasetId": self.dataset}


class TableRef(NamedTuple):
    """A table: `project:dataset.table` in messages."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}"

    @property
    def in_dataset(self) -> DatasetRef:
        """The dataset that the table is in."""
        return DatasetRef(self.project, self.dataset)

    @property
    def name(self) -> str:
        """The DuckDB table's name (unquoted, without its schema)."""
        return _fold(self.table)

    @property
    def sql(self) -> str:
        """The DuckDB table, quoted, with its schema."""
        return f"{self.in_dataset.sql}.{quote(self.name)}"

    def api(self) -> dict[str, str]:
        """The REST form, `TableReference`."""
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.table}


def dataset_ref(resource: dict[str, Any] | None, project: str) -> DatasetRef:
    """The dataset of a REST `DatasetReference`; its project defaults to `project`."""
    if not resource or not resource.get("datasetId"):
        raise invalid("Required parameter is missing: datasetId")
    dataset = str(resource["datasetId"])
    if not _DATASET_ID.fullmatch(dataset):
        raise invalid(
            f'Invalid dataset ID "{dataset}". Dataset IDs must be alphanumeric '
            "(plus underscores) and must be at most 1024 characters long."
        )
    return DatasetRef(str(resource.get("projectId") or project), dataset)


def split_partition(resource: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The table of a reference `table$partition`, and the id of the partition."""
    table, mark, partition = str(resource.get("tableId") or "").partition("$")
    return {**resource, "tableId": table}, partition if mark else None


def table_ref(resource: dict[str, Any] | None, project: str) -> TableRef:
    """The table of a REST `TableReference`; its project defaults to `project`."""
    dataset = dataset_ref(resource, project)
    table = str((resource or {}).get("tableId") or "")
    if not table:
        raise invalid("Required parameter is missing: tableId")
    if "$" in table or "@" in table:
        raise unimplemented(f"partition or snapshot decorators (table {table!r})")
    if not _TABLE_ID.fullmatch(table):
        raise invalid(
            f'Invalid table ID "{table}". Table IDs may hold letters, marks, numbers, '
            "connectors, dashes or spaces, at most 1024 of them."
        )
    return TableRef(*dataset, table)


def check_labels(labels: dict[str, Any] | None) -> None:
    """Refuse labels that BigQuery refuses; null as a value removes one.

    Raises:
        ApiError: `invalid`.
    """
    if len(labels or {}) > _MOST_LABELS:
        raise invalid(f"Too many labels: {len(labels or {})}; at most {_MOST_LABELS} are allowed")
    for key, value in (labels or {}).items():
        if not _LABEL_KEY.fullmatch(key) or key != key.lower():
            raise invalid(
                f'Label key "{key}" has invalid characters or length: lower-case letters, numbers, '
                "_ and -, at most 63, a letter first"
            )
        text = "" if value is None else str(value)
        if not _LABEL_VALUE.fullmatch(text) or text != text.lower():
            raise invalid(
                f'Label value "{text}" of {key} has invalid characters or length: lower-case '
                "letters, numbers, _ and -, at most 63"
            )
