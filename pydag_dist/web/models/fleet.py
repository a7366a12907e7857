"""Who asks, who is there to run tasks, and who may come in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pydag_dist.dag import limits
from pydag_dist.web.models.base import Model, Seconds
from pydag_dist.web.settings import Mode, Role


class Me(Model):
    """Who asks, what that one may do, and what this installation can."""

    user: str
    role: Role
    mode: Mode
    version: str
    prefix: str
    history: bool
    now: Seconds


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


class NewToken(Model):
    """Who is to hold a token, and may do what by it."""

    name: Annotated[str, Field(max_length=limits.ID)]
    role: Role


class Token(Model):
    """Who holds a token."""

    name: str
    role: Role
    created_at: Seconds
    created_by: str


class MadeToken(Model):
    """A token, which is told only once."""

    name: str
    role: Role
    token: str


class Tokens(Model):
    """By their names."""

    items: list[Token]


class NewSession(Model):
    """A token that a browser is to keep."""

    token: Annotated[str, Field(max_length=200)]


class Session(Model):
    """Who it is."""

    user: str
    role: Role
