"""Who asks, and who may come in: tokens, and a browser's session with one."""

from __future__ import annotations

from typing import Annotated

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
