"""The client: submits DAGs to an installation through its Redis, and finds runs there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import redis

from pydag_dist.client.run import BLOCK_SECONDS, Run
from pydag_dist.dag import Dag
from pydag_dist.engine import Engine, RunSummary
from pydag_dist.settings import load_settings


class Client:
    """Submits DAGs and follows runs; needs Redis only, and no Google package.

    `url` is the installation's Redis (default: the setting `PYDAG_REDIS_URL`), `prefix` what its
    keys begin with (default: `PYDAG_KEY_PREFIX`). No connection is made before the first call;
    calls raise redis-py's `ConnectionError` when no Redis is there.
    """

    def __init__(self, url: str | None = None, *, prefix: str | None = None) -> None:
        settings = load_settings()
        self._prefix = prefix or settings.key_prefix
        self._retention = settings.retention
        # A blocking read must end before the socket's own timeout does.
        self._connection = redis.Redis.from_url(
            url or settings.redis_url,
            decode_responses=True,
            socket_timeout=4 * BLOCK_SECONDS,
            socket_connect_timeout=BLOCK_SECONDS,
        )
        self._engine = Engine(self._connection, prefix=self._prefix)

    def submit(
        self, dag: Dag, params: Mapping[str, Any] | None = None, *, run_id: str | None = None
    ) -> Run:
        """Start a run of `dag`, with `params` over the DAG's own ones.

        The run's id is made here, so sending it again after a lost answer is safe: give the
        `run_id` of a run to be sure that it was submitted, once.
        """
        run_id = run_id or new_run_id(dag.dag_id)
        text = dag.to_json()
        given = dict(params or {})

        def send() -> bool:
            return self._engine.submit(
                run_id,
                text,
                dag.dag_id,
                given,
                processors=dag.processors,
                weight=dag.weight,
                timeout=dag.timeout or 0,
                retention=self._retention,
            )

        send()
        return Run(run_id, self._engine, self._connection, self._prefix, resubmit=send)

    def run(self, run_id: str) -> Run:
        """The run of that id; whether it exists shows at its first use."""
        return Run(run_id, self._engine, self._connection, self._prefix)

    def runs(self, limit: int = 50) -> list[RunSummary]:
        """The newest runs first: id, DAG, state, times and the number of tasks in each state."""
        return self._engine.runs(limit)


def new_run_id(dag_id: str) -> str:
    """A run's id: readable, sortable by time, and never made twice by two installations."""
    now = datetime.now(UTC).strftime("%Y%m%dt%H%M%S")
    return f"{dag_id[:80]}-{now}-{secrets.token_hex(8)}"
