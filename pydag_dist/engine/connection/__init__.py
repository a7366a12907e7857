"""Connections to Redis: clients, the check of the server, and what its errors mean."""

from pydag_dist.engine.connection.check import check_redis
from pydag_dist.engine.connection.client import connect
from pydag_dist.engine.connection.errors import (
    FULL,
    address,
    is_full,
    is_refusal,
    is_transient,
    refusal,
    trouble_of,
)
from pydag_dist.engine.connection.outage import Outage

__all__ = [
    "FULL",
    "Outage",
    "address",
    "check_redis",
    "connect",
    "is_full",
    "is_refusal",
    "is_transient",
    "refusal",
    "trouble_of",
]
