"""The steps of Celery's own blueprint by which a worker joins the installation and leaves it."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

from celery import bootsteps
from celery.signals import worker_shutdown, worker_shutting_down

from pydag_dist.engine import check_redis
from pydag_dist.errors import PydagError
from workers.parent.deaths import DEATHS, WatchedPool
from workers.parent.membership import Member, choose_queues, own_queue
from workers.parent.renewal import Renewal
from workers.pool import keeper
from workers.pool.orphans import adopt_orphans
from workers.process import engine, until_redis_can, worker_settings
from workers.tries import run_on

BEAT_EVERY = 1.0  # seconds


class WorkerLease(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Starts the renewal with the worker; refuses what it could not work with."""

    requires = ("celery.worker.components:Pool",)

    def create(self, worker: Any) -> None:
        """Check the pool and Redis before anything starts."""
        pool = worker.pool_cls.__module__
        if not pool.endswith(".prefork"):
            sys.exit(
                f"pydag workers run with Celery's prefork pool only, not {pool}: with another a "
                "busy task stops the worker's loop, and leases could not be kept. Leave out -P."
            )
        worker.pool_cls.Pool = WatchedPool
        run_on.begin_pool(
            max_tasks=worker.max_tasks_per_child, max_memory=worker.max_memory_per_child
        )
        # What has been loaded stays: a collection that looks at it would copy its pages in each
        # process, which a fork shares.
        gc.collect()
        gc.freeze()
        keeper.start()
        adopt_orphans()
        try:
            worker_settings()
            until_redis_can(lambda: check_redis(engine().store.redis))
            queues = worker.app.amqp.queues
            choose_queues(queues, named=len(queues.consume_from) < len(queues))
            worker.pydag_queues = list(queues.consume_from)
            worker.pydag_member = Member(worker.hostname, worker.concurrency, worker.pydag_queues)
            worker.pydag_member.join(engine())
        except PydagError as error:
            sys.exit(f"Error: {error}")
        queues.select_add(own_queue(worker.hostname))

    def start(self, worker: Any) -> None:
        """Register this worker's slots."""
        renewal = Renewal(
            worker.hostname, worker.concurrency, worker.pydag_queues, worker.pydag_member
        )
        DEATHS.parent_pid = os.getpid()
        worker.pydag_renewal = renewal
        renewal.start()
        # Not this step's stop(): it runs before the pool has waited for its last tasks.
        worker_shutting_down.connect(renewal.leave, weak=False)
        worker_shutdown.connect(renewal.stop, weak=False)


class HubBeat(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Beats in the worker's loop, again after every reconnection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Beat every second from now on."""
        renewal: Renewal = consumer.controller.pydag_renewal
        renewal.beat()
        consumer.timer.call_repeatedly(BEAT_EVERY, renewal.beat)
        # Celery hears of a death by a pipe, which what a task has forked may hold.
        consumer.timer.call_repeatedly(BEAT_EVERY, consumer.pool.maintain_pool)
