"""Sessions in PostgreSQL whose writer is lost, and a PostgreSQL that does not answer."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import redis
import sqlalchemy as sa

from pydag_dist.coordinator.recording.recorder import Recorder
from pydag_dist.engine import Engine
from pydag_dist.history import LOST, History, database, postgresql
from tests.faults.link import Link
from tests.support import wait_until
from tests.support.cluster import call, dag
from tests.support.postgres_server import PostgresServer


def test_what_a_lost_writer_left_in_postgresql_holds_up_the_next_one_for_seconds_only(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Twice as long, so that the next writer surely meets the lock.
    monkeypatch.setitem(database._SESSION, "idle_in_transaction_session_timeout", "10s")
    client: Any = redis.Redis.from_url(redis_url, decode_responses=True)
    engine, stopping = Engine(client), threading.Event()
    with PostgresServer() as postgres, client:
        url = postgres.new_database()
        with Link(postgres.port) as link:
            lost = History(url.replace(str(postgres.port), str(link.port)))
            found = History(url)
            first, second = Recorder(engine, lost, 1.0), Recorder(engine, found, 1.0)
            first.open()
            second.open()
            while first.step():
                pass
            graph = dag([call("t", "note")])
            engine.steering.submit("r", graph.to_json(), graph.dag_id)
            # So that its COMMIT is the first thing that does not arrive: not that of the sign of
            # life, which comes before if the last one is a fifth of a second old.
            has_written = threading.Event()

            def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
                if statement.startswith("INSERT"):
                    has_written.set()

            sa.event.listen(lost._db, "after_cursor_execute", executed)
            sa.event.listen(lost._db, "commit", lambda _: has_written.is_set() and link.cut())

            def step() -> None:
                with contextlib.suppress(*LOST):
                    first.step()

            hangs = threading.Thread(target=step)
            hangs.start()
            autocommit = found._db.execution_options(isolation_level="AUTOCOMMIT")
            with autocommit.connect() as connection:
                orphans = sa.text(
                    "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' "
                    "AND pid <> pg_backend_pid() AND query LIKE 'INSERT%'"
                )
                wait_until(lambda: connection.scalar(orphans), "the INSERT is there")
            with caplog.at_level(logging.WARNING):
                writing = threading.Thread(target=second.run, args=(stopping,))
                writing.start()
                wait_until(lambda: client.xlen("pydag:history") == 0, "the next has written")
                stopping.set()
                writing.join()
            assert found.unfinished() == ["r"]
            assert "canceling statement due to lock timeout" in caplog.text
        hangs.join(120)
        lost.close()
        found.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def test_a_session_ends_by_itself_when_its_client_is_gone(postgres: PostgresServer) -> None:
    with History(postgres.new_database()) as history:
        with history._db.connect() as connection:
            settings = {
                name: connection.scalar(sa.text(f"SHOW {name}"))
                for name in ("idle_in_transaction_session_timeout", "lock_timeout")
            }
            tcp = {
                name: connection.scalar(sa.text(f"SHOW {name}"))
                for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout")
            }
        assert settings == {"idle_in_transaction_session_timeout": "5s", "lock_timeout": "2s"}
        assert tcp == {
            "tcp_keepalives_idle": "4",
            "tcp_keepalives_interval": "2",
            "tcp_user_timeout": "10000",
        }


@contextlib.contextmanager
def stopped(postgres: PostgresServer) -> Iterator[None]:
    """All its processes, as if its disk hung: its host's kernel still takes connections."""
    processes = [postgres.pid, *(c.pid for c in psutil.Process(postgres.pid).children())]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


def test_a_server_that_does_not_answer_is_given_up_and_one_that_takes_long_is_not(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "ANSWER_SECONDS", 0.1)
    monkeypatch.setitem(database._LINK, "connect_timeout", 2)
    with History(postgres.new_database()) as history:
        with history._db.connect() as connection:
            assert connection.scalar(sa.text("SELECT 7 FROM pg_sleep(0.5)")) == 7
            with stopped(postgres), pytest.raises(LOST, match="does not answer any more"):
                connection.scalar(sa.text("SELECT 7"))
        with history._db.connect() as connection:
            assert connection.scalar(sa.text("SELECT 7")) == 7
