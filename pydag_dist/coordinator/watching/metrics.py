"""Metrics for Prometheus: docs/monitoring.md says what each means."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter as Tally
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final

import redis
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from pydag_dist.engine import ENDED_RUN_STATES, Engine
from pydag_dist.engine.head import RunHead, head_fields
from pydag_dist.engine.roles.measuring import Numbers, QueueNumbers
from pydag_dist.errors import PydagError
from pydag_dist.history.batch import Batch

log = logging.getLogger(__name__)

FRESH: Final = 1.0  # seconds in which Redis is not asked again, however many ask
DAGS: Final = 200  # that have series of their own; later ones are counted as `OTHER`
OTHER: Final = "(other)"
SECONDS: Final = (0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400)
HOP: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600)


class Metrics:
    """The metrics of one coordinator, and the server that tells them."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Now(engine))
        own = self.registry
        about = Info("pydag", "The version of this coordinator", registry=own)
        about.info({"version": version("pydag-dist")})
        self._runs = Counter("pydag_runs", "Runs that have ended", ("dag", "state"), registry=own)
        self._run_seconds = Histogram(
            "pydag_run_seconds",
            "How long runs were at work until they ended",
            ("dag",),
            buckets=SECONDS,
            registry=own,
        )
        self._tries = Counter("pydag_tries", "Tries that have ended", ("state",), registry=own)
        self._try_seconds = Histogram(
            "pydag_try_seconds", "How long tries took", buckets=SECONDS, registry=own
        )
        self._hop = Histogram(
            "pydag_hop_seconds",
            "From when nothing but a slot kept a try back until a worker began it",
            buckets=HOP,
            registry=own,
        )
        self._dags: set[str] = set()

    def serve(self, address: str, port: int) -> int:
        """Answer scrapes from now on, in threads of their own; the port.

        `PydagError` if it is taken.
        """
        try:
            server, _ = start_http_server(port, address, self.registry)
        except OSError as error:
            raise PydagError(
                f"metrics can't be served at {address}:{port} ({error.strerror}): give another "
                "port to --metrics"
            ) from None
        return int(server.server_port)

    def written(self, batch: Batch) -> None:
        """Count what the history has got."""
        for state, count in Tally(row["state"] for row in batch.tries).items():
            self._tries.labels(state).inc(count)
        for row in batch.tries:
            started, ended = row["started_at"], row["ended_at"]
            if started is None:
                continue
            if row["ready_at"] is not None:
                self._hop.observe(max(0.0, started - row["ready_at"]))
            if ended is not None:
                self._try_seconds.observe(max(0.0, ended - started))
        for row in batch.runs:
            if row["state"] not in ENDED_RUN_STATES:
                continue
            dag = self._label(row["dag_id"])
            self._runs.labels(dag, row["state"]).inc()
            head = head_fields(row["run_id"], json.loads(row["head"]))
            if (took := RunHead(**head).took(row["ended_at"])) is not None:
                self._run_seconds.labels(dag).observe(took)

    def _label(self, dag_id: str) -> str:
        """The DAG; whoever may submit runs may give them any names."""
        if dag_id not in self._dags and len(self._dags) < DAGS:
            self._dags.add(dag_id)
        return dag_id if dag_id in self._dags else OTHER


# Metric -> which of the `Numbers` it is, and what it is for people.
GAUGES: Final = {
    "pydag_redis_round_trip_seconds": ("round_trip", "How long Redis took to answer"),
    "pydag_redis_memory_bytes": ("memory", "Memory that Redis uses"),
    "pydag_redis_memory_limit_bytes": ("memory_limit", "Redis's maxmemory, 0 for none"),
    "pydag_workers": ("workers", "Live workers"),
    "pydag_coordinators": ("coordinators", "Live coordinators"),
    "pydag_busy_slots": ("busy_slots", "Slots of workers that are busy"),
    "pydag_tasks_running": ("running", "Tries that a worker holds"),
    "pydag_tasks_queued": ("queued", "Tasks that have a message and are not begun"),
    "pydag_timers": ("waiting", "Retries, polls and timeouts whose time has not come"),
    "pydag_submissions": ("submissions", "Runs that no coordinator has planned"),
    "pydag_submissions_lag_seconds": ("submissions_lag", "How long the oldest of them waits"),
    "pydag_history_events": ("history_events", "Events that are not in the database"),
    "pydag_history_lag_seconds": ("history_lag", "How old the oldest of them is"),
    "pydag_webhooks_waiting": ("webhooks", "Runs whose webhooks are to be called"),
    "pydag_schedule_lag_seconds": ("schedule_lag", "For how long a DAG is due and not started"),
    "pydag_log_bytes": ("log_bytes", "Logs that Redis has"),
}
OF_QUEUE: Final = {
    "pydag_queue_messages": ("messages", "Messages in the queue's list"),
    "pydag_queue_waiting_runs": ("waiting_runs", "Runs that wait for a slot of the queue"),
    "pydag_queue_runs": ("runs", "Runs that go on and have tasks of the queue"),
    "pydag_queue_slots": ("slots", "Slots of its live workers"),
    "pydag_queue_oldest_seconds": ("oldest", "For how long the task of the next message is ready"),
}


class _Now(Collector):
    """What Redis has at the time of a scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._read_at = -FRESH
        self._numbers: Numbers | None = None

    def describe(self) -> list[Metric]:
        """Nothing, so that the registry does not ask Redis for names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Without an answer of Redis only that there is none."""
        numbers = self._fresh()
        yield GaugeMetricFamily("pydag_redis_up", "1 if Redis answers", value=numbers is not None)
        if numbers is None:
            return
        for name, (field, meaning) in GAUGES.items():
            yield GaugeMetricFamily(name, meaning, value=getattr(numbers, field))
        yield CounterMetricFamily(
            "pydag_lost_leases", "Leases that were lost", value=numbers.lost_leases
        )
        for name, (field, meaning) in OF_QUEUE.items():
            yield _of_queues(name, field, meaning, numbers.queues)

    def _fresh(self) -> Numbers | None:
        with self._lock:
            if time.monotonic() - self._read_at >= FRESH:
                self._numbers = None
                try:
                    self._numbers = self._engine.measuring.numbers()
                except redis.RedisError as error:
                    self._engine.store.disconnect()
                    log.debug("no metrics of Redis: %s", error)
                self._read_at = time.monotonic()
            return self._numbers


def _of_queues(
    name: str, field: str, meaning: str, queues: dict[str, QueueNumbers]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=("queue",))
    for queue, numbers in queues.items():
        value: Any = getattr(numbers, field)
        if value is not None:
            family.add_metric((queue,), value)
    return family
