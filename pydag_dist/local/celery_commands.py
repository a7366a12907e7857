"""The arguments of the Celery commands that a worker and Flower are, whoever starts them."""

from __future__ import annotations

from typing import Final

_APP: Final = ("-A", "workers")


def worker_arguments(
    hostname: str, concurrency: int | None = None, *, log_level: str = "INFO"
) -> list[str]:
    """Those of a worker of that name, on this host unless it has an @."""
    arguments = [*_APP, "worker", "--task-events", "--pool=prefork", "--without-gossip"]
    arguments += ["--without-mingle", f"--loglevel={log_level}"]
    if concurrency:
        arguments.append(f"--concurrency={concurrency}")
    return [*arguments, f"--hostname={hostname if '@' in hostname else hostname + '@%h'}"]


def flower_arguments(address: str, port: int | None) -> list[str]:
    """Those of a Flower that listens there."""
    return [*_APP, "flower", f"--address={address}", f"--port={port}"]
