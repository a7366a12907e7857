"""Links to Redis that can be cut: each part of an installation has one of its own.

A link is a process that passes on what it is sent. Stopped, it neither passes on nor closes
anything, as a network that loses every packet; when it goes on, what was sent meanwhile arrives.
``python -m tests.acceptance.chaos.links PORT`` passes on to that port, and prints its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import Self

CHUNK = 65_536


class Link:
    """A way to the server at a port of this machine."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", __name__, str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"redis://127.0.0.1:{self._process.stdout.readline().strip()}/0"

    def cut(self) -> None:
        """Pass nothing on, and close nothing, until `heal`."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def heal(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    target.close()


async def _serve(port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  its parent reads it
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
