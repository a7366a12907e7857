"""Operators of Airflow for Cloud Storage."""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pydag_dist.dag.airflow.operators.arguments import Arguments, NotTaken
from pydag_dist.dag.airflow.operators.bigquery import Made, common

# The name of an object, without what means something in a glob, and no folder.
_PLAIN: Final = re.compile(r"[^*?\[\]{},\\]*[^*?\[\]{},\\/]")
_BYTES: Final = "application/octet-stream"  # what Airflow calls any file


def _gcs(a: Arguments, **params: Any) -> dict[str, Any]:
    a.ignore("project_id", "user_project", "google_impersonation_chain", "timeout_")
    made = common(a, **params)
    made.pop("project", None)
    if made.pop("labels", None):
        a.note("labels: left out")
    return made


def _copy(a: Arguments) -> Made:
    bucket = a.needs("source_bucket")
    to = a.take("destination_bucket", default=bucket)
    target, match = a.take("destination_object"), a.take("match_glob")
    moves = a.take("move_object", default=False)
    many = a.take("source_objects")
    source = a.take("source_object", default=many[0] if many and len(many) == 1 else None)
    if source is None:
        source, match = _several(many, target, match)
        if moves and not source:
            raise NotTaken("it moves objects of no common folder: write a gcs.move for each")
    if "*" in source:
        source, match = _of_wildcard(a, source, renames=target is not None)
    target = source if target is None else target
    params: dict[str, Any] = {
        "source": f"gs://{bucket}/{source}",
        "destination": f"gs://{to}/{target}",
    }
    if source.endswith("/") and not target.endswith("/"):
        params["destination"] += "/"
    if match:
        params["match"] = match
    if a.take("replace", default=True) is False:
        params["overwrite"] = False
    for name, ours in (
        ("last_modified_time", "newer_than"),
        ("maximum_modified_time", "older_than"),
    ):
        if time := a.take(name):
            params[ours] = _time(time)
    a.ignore("exact_match", "source_object_required")
    return "gcs.move" if moves else "gcs.copy", _gcs(a, **params)


def _several(names: Any, target: Any, match: Any) -> tuple[str, str]:
    """The folder that these objects are below, and the glob that means them from there on."""
    if not isinstance(names, list) or not names:
        raise NotTaken("which objects it copies is known only when the file runs")
    if match or not all(isinstance(name, str) and _PLAIN.fullmatch(name) for name in names):
        raise NotTaken("it copies several folders or globs: write a gcs.copy for each")
    folders = {name.rpartition("/")[0] for name in names}
    if target is not None and (len(folders) > 1 or not target.endswith("/")):
        raise NotTaken("its objects change their folders or names: write a gcs.copy for each")
    start = posixpath.commonprefix([f"{folder}/" if folder else "" for folder in folders])
    start = start[: start.rfind("/") + 1]
    return start, f"{{{','.join(name.removeprefix(start) for name in names)}}}"


def _of_wildcard(a: Arguments, source: str, *, renames: bool) -> tuple[str, str]:
    """The folder before the `*` of a name, and the glob from there on."""
    before, _, behind = source.partition("*")
    folder, _, rest = before.rpartition("/")
    a.note("its * went into the folders below, too: write ** in match if there are any")
    if rest and renames:
        a.note(f"its copies were named without {rest!r}, which is before the *: here they keep it")
    return f"{folder}/" if folder else "", f"{rest}*{behind}"


def _synchronize(a: Arguments) -> Made:
    params: dict[str, Any] = {
        "source": f"gs://{a.needs('source_bucket')}/{_folder(a, 'source_object')}",
        "destination": f"gs://{a.needs('destination_bucket')}/{_folder(a, 'destination_object')}",
    }
    if a.take("delete_extra_files"):
        a.note("it deleted what the source has not: a gcs.copy deletes nothing")
    if not a.take("allow_overwrite", default=False):
        params["overwrite"] = False
    a.ignore("recursive")
    return "gcs.copy", _gcs(a, allow_empty=True, **params)


def _folder(a: Arguments, name: str) -> str:
    """A folder with its / at the end; nothing for the whole bucket."""
    folder = a.text(name).strip("/")
    return f"{folder}/" if folder else ""


def _time(text: Any) -> Any:
    """A time of Airflow, which is UTC if it has no offset."""
    with contextlib.suppress(TypeError, ValueError):
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
    return text


def _upload(a: Arguments) -> Made:
    source, target = a.needs("src"), a.needs("dst")
    if isinstance(source, list):
        if len(source) != 1:
            raise NotTaken(
                "it uploads several files: write a gcs.upload for each, or one of a folder"
            )
        [source] = source
    if not isinstance(source, str) or "*" in source:
        raise NotTaken("its files are known only when it runs: write a gcs.upload of their folder")
    if not source.startswith(("/", "{{")):
        a.note(
            "its file is beside the DAG: here the worker's host must have it, so its path is needed"
        )
        source = f"/{source}"
    if target.endswith("/") and not source.endswith("/"):
        target += source.rpartition("/")[2]
    if a.take("gzip"):
        a.note("gzip: left out, the object is as the file is")
    params = {"source": source, "destination": f"gs://{a.needs('bucket')}/{target}"}
    a.ignore("chunk_size")
    kind = a.take("mime_type")
    return "gcs.upload", _gcs(a, content_type=kind if kind != _BYTES else None, **params)


def _delete(a: Arguments) -> Made:
    bucket = a.needs("bucket_name")
    objects, prefix = a.take("objects"), a.take("prefix")
    if prefix is not None:
        prefixes = prefix if isinstance(prefix, list) else [prefix]
        if not all(isinstance(each, str) and each.endswith("/") for each in prefixes):
            raise NotTaken("its prefix is no folder with a / at its end")
        return "gcs.delete", _gcs(a, folders=[f"gs://{bucket}/{each}" for each in prefixes])
    if not isinstance(objects, list):
        raise NotTaken("its objects are known only when the file runs")
    return "gcs.delete", _gcs(a, uris=[f"gs://{bucket}/{each}" for each in objects])


def _object_sensor(a: Arguments) -> Made:
    uri = f"gs://{a.needs('bucket')}/{a.needs('object')}"
    a.ignore("use_glob", "retry")
    return "gcs.wait_object", _gcs(a, **{"glob" if "*" in uri else "object": uri})


def _update_sensor(a: Arguments) -> Made:
    a.ignore("ts_func")
    a.note("it waits for an object newer than the logical date")
    operator, params = _object_sensor(a)
    return operator, params | {"newer_than": "{{ logical_date }}"}


def _prefix_sensor(a: Arguments) -> Made:
    uri = f"gs://{a.needs('bucket')}/{a.needs('prefix')}"
    least = a.take("min_objects")
    quiet = a.take("inactivity_period")
    a.ignore("previous_objects", "allow_delete")
    return "gcs.wait_object", _gcs(
        a, prefix=uri, min_objects=least if least != 1 else None, quiet_for=quiet
    )


GCS: Final[Mapping[str, Callable[[Arguments], Made]]] = {
    "GCSToGCSOperator": _copy,
    "GCSSynchronizeBucketsOperator": _synchronize,
    "LocalFilesystemToGCSOperator": _upload,
    "GCSDeleteObjectsOperator": _delete,
    "GCSObjectExistenceSensor": _object_sensor,
    "GCSObjectExistenceAsyncSensor": _object_sensor,
    "GCSObjectUpdateSensor": _update_sensor,
    "GCSObjectsWithPrefixExistenceSensor": _prefix_sensor,
    "GCSUploadSessionCompleteSensor": _prefix_sensor,
}
