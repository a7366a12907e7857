"""Submitting DAGs and following their runs, from any host that reaches the Redis."""

from __future__ import annotations

from pydag_dist.client.client import Client
from pydag_dist.client.logs import LogLine
from pydag_dist.client.resuming import Resumption
from pydag_dist.client.run import Run

__all__ = ["Client", "LogLine", "Resumption", "Run"]
