"""pyDag's params: parameters, ``*variables``, and ``**GROUP_key`` naming a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.errors import TaskFailed
from workers.settings import WorkerSettings

_KEY_FILE = ("service-account", "service_account", "key_file", "key-file")


@dataclass(frozen=True)
class ScriptParams:
    """What a script gets, and the connection that its task named (None: the worker's default)."""

    given: dict[str, Any]  # as the DAG has them, without connections
    key_files: dict[str, str]  # GROUP_key → path on this worker, "" if it has ambient credentials
    connection: str | None

    @property
    def values(self) -> dict[str, Any]:
        """All of them by the names that scripts use."""
        parameters = {name: value for name, value in self.given.items() if name[:1] != "*"}
        return parameters | self.key_files | self.given


def resolve(params: Mapping[str, Any], settings: WorkerSettings) -> ScriptParams:
    """Tell connections from the rest; the worker's settings alone say what a connection is."""
    given: dict[str, Any] = {}
    key_files: dict[str, str] = {}
    connection: str | None = None
    for name, value in params.items():
        if not name.startswith("**"):
            given[name] = value
            continue
        group, _, key = name.removeprefix("**").partition("_")
        key_files[f"{group}_{key}"] = _key_file(group, key, settings)
        connection = connection or group
    return ScriptParams(given, key_files, connection)


def _key_file(group: str, key: str, settings: WorkerSettings) -> str:
    if key not in _KEY_FILE:
        raise TaskFailed(
            f"connection parameter **{group}_{key}: a connection has a {_KEY_FILE[0]}, "
            f"so write **{group}_{_KEY_FILE[0]}",
            final=True,
        )
    connection = settings.connection_of(group)
    return str((connection and connection.key_file) or "")
