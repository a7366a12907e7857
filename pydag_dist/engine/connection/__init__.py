"""Connections to Redis: clients, the check of the server, and what its errors mean."""

from pydag_dist.engine.connection.check import check_redis
from pydag_dist.engine.connection.client import connect
from pydag_dist.engine.connection.errors import address, is_refusal, is_transient, refusal

__all__ = ["address", "check_redis", "connect", "is_refusal", "is_transient", "refusal"]
