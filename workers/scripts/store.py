"""Script stores: Cloud Storage buckets and local directories, if this worker trusts them."""

from __future__ import annotations

from pathlib import Path

from pydag_dist.dag.script import ScriptPath
from workers import google
from workers.errors import TaskFailed
from workers.operators.base import TaskContext


def check_trusted(path: ScriptPath, stores: tuple[str, ...]) -> None:
    """Refuse a script of a store that the worker's settings don't name.

    Whoever can write to a store decides what runs on the worker, so the DAG can't say which.
    """
    if path.storage == "local":
        if _local_roots(stores):
            return
        wanted = "local:DIRECTORY"
    else:
        wanted = f"gcs:{path.bucket}"
        if wanted in stores or "gcs:*" in stores:
            return
    raise TaskFailed(
        f"script {path} is in a store that this worker does not trust (it trusts "
        f"{', '.join(stores) or 'none'}): add {wanted} to its setting stores, "
        "if only people you trust can write there"
    )


def read(context: TaskContext, path: ScriptPath, connection: str | None) -> str:
    """The script's text; `TaskFailed` if it can't be had."""
    if path.storage == "local":
        data = _read_local(path, context.settings.stores)
    else:
        data = _read_gcs(context, path, connection)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise TaskFailed(f"script {path} is not UTF-8 text: {error}") from None


def _read_gcs(context: TaskContext, path: ScriptPath, connection: str | None) -> bytes:
    url = f"gs://{path.bucket}/{path.object_name}"
    with google.explained(f"script {path} ({url})"):
        blob = google.storage_client(google.access(context.settings, connection)).bucket(
            path.bucket
        )
        data: bytes = google.call(
            context.log, blob.blob(path.object_name).download_as_bytes, retry=None
        )
        return data


def _read_local(path: ScriptPath, stores: tuple[str, ...]) -> bytes:
    roots = _local_roots(stores)
    for root in roots:
        file = (root / path.bucket / path.object_name).resolve()
        # A link may lead out of the directory that is trusted.
        if file.is_relative_to(root) and file.is_file():
            return file.read_bytes()
    looked = ", ".join(str(root / path.bucket / path.object_name) for root in roots)
    raise TaskFailed(f"script {path} does not exist: looked for {looked}")


def _local_roots(stores: tuple[str, ...]) -> list[Path]:
    return [
        Path(store.removeprefix("local:")).expanduser().resolve()
        for store in stores
        if store.startswith("local:")
    ]
