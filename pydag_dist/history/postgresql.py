"""Connections to PostgreSQL that give up a server which is there and does not answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from typing import Any

import psycopg

ANSWER_SECONDS = 5.0  # after which the server is asked whether it still answers anybody

# Its warnings are of errors that it raises, too.
logging.getLogger("psycopg").setLevel(logging.ERROR)


class Connection(psycopg.Connection[Any]):
    """Like psycopg's; but a call fails if the server answers neither it nor a new connection.

    A statement may take as long as it does. A server that was stopped, or whose disk hangs, keeps
    its connections: the kernel of its host answers for it, so that no timeout of TCP finds it out.
    """

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Consume a generator, to which psycopg sends 0 each time that it has waited in vain."""
        return super().wait(self._watched(gen), *args, **kwargs)

    def _watched(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        silent_since = time.monotonic()
        ready: Any = None
        while True:
            try:
                state = gen.send(ready)
            except StopIteration as end:
                return end.value
            ready = yield state
            if ready:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > ANSWER_SECONDS:
                self._check_server()
                silent_since = time.monotonic()

    def _check_server(self) -> None:
        try:
            psycopg.connect(self.info.dsn, password=self.info.password).close()
        except psycopg.errors.ConnectionTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError("the server does not answer any more") from None
        except psycopg.OperationalError:
            return  # an answer, such as that it has too many connections
