"""Script stores: which of them this worker trusts, and reading a script from its store."""

from __future__ import annotations

from pathlib import Path

from pydag_dist.dag.script import ScriptPath
from workers.contract.context import TaskContext
from workers.errors import HostLacks, TaskFailed
from workers.operators.script.sources import S3, Database, Files, Gcs, Script, Store
from workers.operators.script.text_cache import cached


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
    """The script's text: from the cache if the DAG wants one and the script has not changed."""
    # The cache is no way around trust: a store may have been trusted yesterday.
    check_trusted(path, context.settings.stores)
    store = _store(context, path, connection)
    return cached(context, path.path, store.generation, lambda: _read(store, path))


def read_script(context: TaskContext, path: ScriptPath, connection: str | None) -> str:
    """The script's text as it is now; `TaskFailed` if it can't be had."""
    return _read(_store(context, path, connection), path)[0]


def _read(store: Store, path: ScriptPath) -> tuple[str, str]:
    script: Script = store.read()
    try:
        return script.data.decode(), script.generation
    except UnicodeDecodeError as error:
        raise TaskFailed(f"script {path} is not UTF-8 text: {error}") from None


def _store(context: TaskContext, path: ScriptPath, connection: str | None) -> Store:
    if path.storage == "gcs":
        return Gcs(context, path, connection)
    if path.storage == "s3":
        return S3(path)
    if path.storage == "database":
        return Database(path, context.settings.databases)
    return Files(path, _local_roots(context.settings.stores))


def _local_roots(stores: tuple[str, ...]) -> list[Path]:
    return [
        Path(store.removeprefix("local:")).expanduser().resolve()
        for store in stores
        if store.startswith("local:")
    ]
