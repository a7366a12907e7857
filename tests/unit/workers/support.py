"""A task's context without a worker, whose log can be read."""

from __future__ import annotations

import logging
from typing import Any

import fakeredis

from workers.operators import TaskContext
from workers.settings import WorkerSettings


class Log(logging.Handler):
    """Keeps what a task logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.logger = logging.Logger("test", logging.INFO)  # noqa: LOG001  one per test
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def context(
    params: dict[str, Any] | None = None,
    *,
    operator: str = "python.call",
    script: str | None = None,
    log: Log | None = None,
    settings: dict[str, Any] | None = None,
    **fields: Any,
) -> TaskContext:
    """The first try of a task, with worker settings made of `settings`."""
    values: dict[str, Any] = {
        "run_id": "nightly-20260101T000000-0123456789abcdef",
        "dag_id": "nightly",
        "task_id": "t",
        "try_number": 1,
        "operator": operator,
        "script": script,
        "params": params or {},
        "script_cache": False,
        "expire_cache": 0,
        "log": (log or Log()).logger,
        "settings": WorkerSettings(**(settings or {})),
        "redis": fakeredis.FakeRedis(decode_responses=True),
    }
    return TaskContext(**(values | fields))
