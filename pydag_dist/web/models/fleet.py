"""Who is there to run tasks, and what waits for them."""

from __future__ import annotations

from typing import Any

from pydag_dist.web.models.base import Model, Seconds


class Health(Model):
    """Whether Redis answers, and whether this process can read the history."""

    redis: bool
    history: bool


class Worker(Model):
    """A live worker, as of `pydag workers --json`."""

    name: str
    process: str
    busy: int
    heard_at: Seconds
    info: dict[str, Any]
    running: list[str]


class Coordinator(Model):
    """A live coordinator."""

    name: str
    process: str
    busy: int
    heard_at: Seconds
    info: dict[str, Any]


class Workers(Model):
    """Who is there."""

    workers: list[Worker]
    coordinators: list[Coordinator]


class Queue(Model):
    """A queue: slots of its live workers, busy ones, messages, runs that wait for it.

    `refusals` are of workers that gave tasks back since their host lacks something.
    """

    name: str
    slots: int
    workers: list[str]
    messages: int
    waiting_runs: list[str]
    refusals: list[dict[str, str]]


class Queues(Model):
    """The queues, in lexical order."""

    items: list[Queue]
