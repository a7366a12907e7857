"""Script stores: which of them this worker trusts, and the text of a script in one of them."""

from __future__ import annotations

from pathlib import Path

from pydag_dist.dag.script import ScriptPath
from workers.contract.context import TaskContext
from workers.errors import HostLacks, TaskFailed
from workers.operators.script.sources import (
    DatabaseSource,
    FileSource,
    GcsSource,
    S3Source,
    ScriptSource,
)
from workers.operators.script.text_cache import cached_text


def check_trusted(path: ScriptPath, stores: tuple[str, ...]) -> None:
    """Refuse a script of a store that the worker's settings don't name.

    Whoever can write to a store decides what runs on the worker, so the DAG can't say which.
    """
    if path.storage == "local":
        wanted, trusted = "local:DIRECTORY", bool(_local_roots(stores))
    else:
        wanted = f"{path.storage}:{path.bucket}"
        trusted = any(_covers(store, path) for store in stores)
    if not trusted:
        raise HostLacks(
            f"script {path} is in a store that this worker does not trust (it trusts "
            f"{', '.join(stores) or 'none'}): add {wanted} to its setting stores, "
            "if only people you trust can write there",
            f"store:{wanted.partition(':')[0]}.{path.bucket}.{path.folder}",
        )


def _covers(store: str, path: ScriptPath) -> bool:
    storage, _, place = store.partition(":")
    if storage != path.storage:
        return False
    folder = place.rstrip("/")
    return (storage, place) == ("gcs", "*") or f"{path.bucket}/{path.object_name}".startswith(
        f"{folder}/"
    )


def script_text(context: TaskContext, path: ScriptPath, connection: str | None) -> str:
    """The script's text, from the cache if the DAG wants one and the script has not changed.

    Raises `TaskFailed` if it can't be had, `HostLacks` if its store is not trusted here.
    """
    # The cache is no way around trust: a store may have been trusted yesterday.
    check_trusted(path, context.settings.stores)
    source = _source(context, path, connection)
    return cached_text(context, path.path, source.generation, lambda: _read(source, path))


def _read(source: ScriptSource, path: ScriptPath) -> tuple[str, str]:
    script = source.read()
    try:
        return script.data.decode(), script.generation
    except UnicodeDecodeError as error:
        raise TaskFailed(f"script {path} is not UTF-8 text: {error}") from None


def _source(context: TaskContext, path: ScriptPath, connection: str | None) -> ScriptSource:
    if path.storage == "gcs":
        return GcsSource(context, path, connection)
    if path.storage == "s3":
        return S3Source(path)
    if path.storage == "database":
        return DatabaseSource(path, context.settings.databases)
    return FileSource(path, _local_roots(context.settings.stores))


def _local_roots(stores: tuple[str, ...]) -> list[Path]:
    return [
        Path(store.removeprefix("local:")).expanduser().resolve()
        for store in stores
        if store.startswith("local:")
    ]
