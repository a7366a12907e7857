"""The shapes of texts in DAG files, settings and requests, with the words of a message."""

from __future__ import annotations

from typing import Final

# Regular expressions that Rust (pydantic), JSON Schema and Python read alike.
ID: Final = r"^[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*$"
FILLED: Final = r"\S"
CALLABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
# https://cloud.google.com/storage/docs/buckets#naming
GCS_URI: Final = r"^gs://[a-z0-9][a-z0-9._-]*/[^\r\n]+$"
# Of a cluster's machine, or of its own file system.
MAIN_URI: Final = r"^(gs://[a-z0-9][a-z0-9._-]*/[^\r\n]*[^\r\n/]|(file|hdfs)://[^\r\n]*[^\r\n/])$"
BUCKET_OR_MORE: Final = r"^gs://[a-z0-9][a-z0-9._-]*/[^\r\n]*$"
OBJECT: Final = r"^gs://[a-z0-9][a-z0-9._-]*/([^\r\n]*[^\r\n/])$"
FOLDER: Final = r"^gs://[a-z0-9][a-z0-9._-]*/[^\r\n]+/$"
ONE_STAR: Final = r"^gs://[a-z0-9][a-z0-9._-]*/[^\r\n*]*(\*[^\r\n*]*[^\r\n*/]|[^\r\n/])$"
# Of a worker's host.
HOST_PATH: Final = r"^(/[^/\r\n\x00]+)+/?$"
# A dataset has letters, digits and _ only; a project may have its domain before it.
# https://cloud.google.com/bigquery/docs/datasets#dataset-naming
PROJECT: Final = r"^[a-z0-9][a-z0-9.:-]*$"
TABLE: Final = r"^[a-z0-9][a-z0-9:-]*\.[A-Za-z0-9_]+\.[^.\s$]+(\$[A-Za-z0-9_]+)?$"
TABLE_OR_PARTITION: Final = (
    r"^[a-z0-9][a-z0-9:-]*\.[A-Za-z0-9_]+\.[^.\s$]+(\$(-?[0-9]+|__NULL__|__UNPARTITIONED__))?$"
)
DATASET: Final = r"^[a-z0-9][a-z0-9:-]*\.[A-Za-z0-9_]+$"
PARTITION: Final = r"^(-?[0-9]+|__NULL__|__UNPARTITIONED__)$"
# https://cloud.google.com/kms/docs/getting-resource-ids
KMS_KEY: Final = r"^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$"
LOCATION: Final = r"^[A-Za-z0-9-]+$"
# Of ASCII only a-z 0-9 _ - are allowed; other characters may be letters of another language.
# https://cloud.google.com/resource-manager/docs/labels-overview#requirements
LABEL_KEY: Final = r"^[^A-Z0-9_\s!-/:-@\[-`{-~][^A-Z\s!-,./:-@\[-^`{-~]{0,62}$"
LABEL_VALUE: Final = r"^[^A-Z\s!-,./:-@\[-^`{-~]{0,63}$"
# https://cloud.google.com/compute/docs/regions-zones
REGION: Final = r"^(global|[a-z]+(-[a-z]+)+[0-9]+)$"
# https://cloud.google.com/dataproc/docs/guides/create-cluster
CLUSTER: Final = r"^[a-z]([a-z0-9-]{0,50}[a-z0-9])?$"
# https://cloud.google.com/dataproc/docs/reference/rest/v1/projects.regions.workflowTemplates
WORKFLOW_TEMPLATE: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{1,48}[A-Za-z0-9]$"
WORKFLOW_PARAMETER: Final = r"^[A-Z_][A-Z0-9_]{0,39}$"
# The URL of a webhook, or its name in the coordinator's settings.
HOOK: Final = r"^(https?://[^\s/?#@]+([/?#]\S*)?|[A-Za-z0-9_-][A-Za-z0-9_.-]*)$"
# Five fields, or a name for them. cronsim checks what is in a field.
CRON: Final = r"^(|@(hourly|daily|midnight|weekly|monthly|yearly|annually)|\s*(\S+\s+){4}\S+\s*)$"
DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
# A day, or a time with or without its offset from UTC.
DAY_OR_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$"
)

URL: Final = r"^https?://[^\s/?#@]+([/?#]\S*)?$"
EMAIL: Final = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$"
HEADER: Final = r"^[A-Za-z0-9-]{1,64}$"
URL_PATH: Final = r"^(/[A-Za-z0-9._~-]+)*$"
COMMIT: Final = r"^[0-9a-f]{7,64}$"
EVENT: Final = r"^[0-9]{1,20}(-[0-9]{1,20})?$"

WORDS: Final = {
    ID: "must be of the characters A-Z a-z 0-9 _ . - and not of dots only",
    FILLED: "must not be empty",
    CALLABLE: 'must be "module:function"',
    GCS_URI: 'must be "gs://bucket/object"',
    MAIN_URI: 'must be "gs://bucket/object", or "file:///path" of the cluster\'s machines',
    BUCKET_OR_MORE: 'must be "gs://bucket/object", "gs://bucket/folder/" or "gs://bucket/"',
    HOST_PATH: "must be an absolute path, as /srv/exports/day.csv or /srv/exports/",
    OBJECT: 'must be "gs://bucket/object", one object, so without a / at its end',
    FOLDER: 'must be "gs://bucket/folder/", with a / at its end',
    ONE_STAR: 'must be "gs://bucket/object", with one * at most and no / at its end',
    LABEL_KEY: "must be a lower-case letter, then at most 62 lower-case letters, digits, _ and -",
    LABEL_VALUE: "must be at most 63 lower-case letters, digits, _ and -",
    PROJECT: "must be the id of a project: a-z 0-9 -",
    TABLE_OR_PARTITION: 'must be "project.dataset.table", perhaps with a partition, as $20260131',
    DAY: "must be a day, as 2026-01-31",
    DAY_OR_TIME: "must be a day or a time, as 2026-01-31 or 2026-01-31T06:00:00Z",
    URL: "must be an http or https URL, without a user",
    EMAIL: "must be an e-mail address, as ops@example.org",
    HEADER: "must be the name of a header: at most 64 characters A-Z a-z 0-9 -",
    URL_PATH: "must be a path, as /pydag: of A-Z a-z 0-9 . _ ~ - and /, without a / at its end",
    COMMIT: "must be the id of a commit: 7 to 64 characters 0-9 a-f",
    EVENT: "must be the id of an event, as 1767225600000-0",
    PARTITION: "must be the id of a partition, as 2026, 202601, 20260131 or 2026013123",
    KMS_KEY: "must be projects/P/locations/L/keyRings/R/cryptoKeys/K",
    LOCATION: "must be a location of BigQuery, as US, EU or europe-west4",
    REGION: "must be a region, as us-central1 or europe-west4",
    TABLE: 'must be "project.dataset.table"',
    WORKFLOW_TEMPLATE: "must be 3 to 50 characters A-Z a-z 0-9 _ -, first and last no _ or -",
    WORKFLOW_PARAMETER: "must be at most 40 characters A-Z 0-9 _, first no digit",
    DATASET: 'must be "project.dataset"',
    HOOK: "must be an http or https URL, or a name in the coordinator's settings",
    CLUSTER: "must be 1 to 52 characters a-z 0-9 -, first a letter, last no dash",
}
