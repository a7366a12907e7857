"""The shapes of texts in DAG files, each with the words that a message needs."""

from __future__ import annotations

from typing import Final

# Regular expressions that Rust (pydantic), JSON Schema and Python read alike.
ID: Final = r"^[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*$"
FILLED: Final = r"\S"
CALLABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
GCS_URI: Final = r"^gs://[^/]+/.+$"
TABLE: Final = r"^[^.\s]+\.[^.\s]+\.[^.\s]+$"
DATASET: Final = r"^[^.\s]+\.[^.\s]+$"
# https://cloud.google.com/dataproc/docs/guides/create-cluster
CLUSTER: Final = r"^[a-z]([a-z0-9-]{0,50}[a-z0-9])?$"
# The URL of a webhook, or its name in the coordinator's settings.
HOOK: Final = r"^(https?://[^\s/?#@]+([/?#]\S*)?|[A-Za-z0-9_-][A-Za-z0-9_.-]*)$"

WORDS: Final = {
    ID: "must be of the characters A-Z a-z 0-9 _ . - and not of dots only",
    FILLED: "must not be empty",
    CALLABLE: 'must be "module:function"',
    GCS_URI: 'must be "gs://bucket/object"',
    TABLE: 'must be "project.dataset.table"',
    DATASET: 'must be "project.dataset"',
    HOOK: "must be an http or https URL, or a name in the coordinator's settings",
    CLUSTER: "must be 1 to 52 characters a-z 0-9 -, first a letter, last no dash",
}
