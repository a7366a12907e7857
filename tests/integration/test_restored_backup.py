"""A backup goes on elsewhere: on another machine, with another Redis, home and database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pydag_dist import Client
from pydag_dist.cli import pydag
from pydag_dist.engine.published import PublishedDag
from pydag_dist.errors import UnknownRun
from pydag_dist.history import History
from tests.support import wait_until
from tests.support.cluster import SHORT_LEASE, Cluster, dag
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer, server_binary


@contextmanager
def machine(directory: Path, database: str) -> Iterator[Cluster]:
    """A coordinator and a worker with a Redis and a home of their own."""
    directory.mkdir()
    with (
        RedisServer(server_binary("valkey"), directory) as server,
        Cluster(server.url, directory, SHORT_LEASE) as cluster,
    ):
        cluster.coordinator(PYDAG_DATABASE_URL=database)
        cluster.worker(slots=6)
        yield cluster


def history(database: str, *words: object) -> None:
    """Type a command about the history."""
    command = ["history", *map(str, words)]
    result = CliRunner().invoke(pydag, command, env={"PYDAG_DATABASE_URL": database})
    assert result.exit_code == 0, result.output


def published(client: Client) -> dict[str, PublishedDag]:
    return {each.dag_id: each for each in client.dags()}


def steps(there: Cluster, gate: Path) -> list[dict[str, Any]]:
    """A task that ends at once, and one that waits for a file."""
    begin = there.task("first", "note")
    return [begin, there.task("second", "hold", after=["first"], gate=str(gate))]


def publish(there: Cluster, gate: Path) -> None:
    """Three DAGs: one of two versions, one that is due each second, one that is paused."""
    tasks, client = steps(there, gate), there.client
    nightly = [
        dag(each, dag_id="nightly", schedule_interval="@daily") for each in (tasks[:1], tasks)
    ]
    client.publish(*nightly[:1])
    client.publish(
        *nightly[1:],
        dag(tasks[:1], dag_id="often", schedule_interval=1),
        dag(tasks, dag_id="paused", schedule_interval="@hourly"),
    )
    assert client.pause("paused")


@pytest.mark.timeout(200)
def test_a_restored_backup_goes_on(tmp_path: Path) -> None:
    first, last = f"sqlite:///{tmp_path}/a/history.sqlite", f"sqlite:///{tmp_path}/second.sqlite"
    gate, early = tmp_path / "gate", tmp_path / "early"

    with machine(tmp_path / "a", first) as there:
        journal, client = there.journal, there.client
        publish(there, gate)
        run, ends_later = client.start("nightly"), client.submit(dag(steps(there, early)))
        backfill = client.backfill("nightly", "2026-01-01", "2026-01-02")
        wait_until(lambda: len(journal.lines("start")) == 3, "all three wait for their gates")
        wait_until(lambda: published(client)["often"].last_state == "success", "it was due")
        done = published(client)["often"].last_run
        there.wait_written()
        history(first, "backup", tmp_path / "first.sqlite")
        before = published(client)
        early.touch()
        assert there.wait_ended(ends_later).state == "success"
        too_late = there.submit(steps(there, early)[:1])
        assert there.wait_ended(too_late).state == "success"

    with PostgresServer() as server:
        second = server.new_database()
        history(second, "restore", tmp_path / "first.sqlite")
        with machine(tmp_path / "b", second) as there:
            client = there.client
            wait_until(lambda: len(client.dags()) == 3, "the published DAGs are there")
            dags = published(client)
            assert {name: each.version for name, each in dags.items()} == {
                "nightly": 2,
                "often": 1,
                "paused": 1,
            }
            assert dags["paused"].paused_at == before["paused"].paused_at
            assert dags["nightly"].due == before["nightly"].due
            wait_until(
                lambda: (
                    published(client)["often"].settled > before["often"].settled
                    and published(client)["often"].last_state == "success"
                ),
                "it is due again",
            )
            # What the backup did not know: one run had ended, and runs again; the other is gone.
            assert there.wait_ended(client.run(ends_later.id)).state == "success"
            assert len(journal.lines("start", ends_later.id)) == 2
            with pytest.raises(UnknownRun):
                _ = client.run(too_late.id).state
            # What had ended before is not run again, and the rest goes on.
            wait_until(lambda: len(journal.lines("start", run.id)) == 2, "it goes on")
            with History(second) as found:
                assert found.snapshot(done).state == "success"
            there.wait_written()
            history(second, "backup", tmp_path / "second.sqlite")

    with machine(tmp_path / "c", last) as there:
        client = there.client
        wait_until(lambda: len(journal.lines("start", run.id)) == 3, "it goes on once more")
        gate.touch()
        assert there.wait_ended(client.run(run.id)).state == "success"
        assert journal.tasks("ran", run.id) == ["first"]
        wait_until(
            lambda: [(each.state, each.success) for each in client.backfills()] == [("done", 2)],
            "the backfill is done",
        )
        assert client.backfills()[0].backfill_id == backfill.backfill_id
        assert published(client)["nightly"].version == 2
