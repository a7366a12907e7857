"""Old runs are deleted by the coordinator that writes the history."""

from __future__ import annotations

import threading
import time

from pydag_dist.coordinator.keeping import pruning
from pydag_dist.coordinator.keeping.pruning import Pruning
from pydag_dist.history import History
from pydag_dist.log_store import LogStoreAway
from tests.contract.test_history_upkeep import START, ended, write


class Logs:
    def __init__(self):
        self.is_away, self.forgotten = True, []

    def forget(self, run_ids):
        if self.is_away:
            raise LogStoreAway("the disk is away")
        self.forgotten += run_ids


def test_what_is_older_than_the_days_goes_once_its_logs_can(tmp_path, caplog):
    logs, days = Logs(), round((time.time() - START) / pruning.DAY) - 5
    with History(f"sqlite:///{tmp_path / 'h.sqlite'}") as history:
        history.open()
        write(history, ended("old", 1), ended("new", 10))
        loop = Pruning(history, days, logs, lambda: True, threading.Event())
        assert not loop.step()
        assert history.has("old")
        logs.is_away = False
        assert loop.step()
        assert [run.run_id for run in history.runs()] == ["new"]
        assert logs.forgotten == ["old"]
        history.close()
    assert "old runs can't be deleted now: the disk is away" in caplog.text


def test_it_stops_between_two_pages(tmp_path):
    stopping = threading.Event()
    with History(f"sqlite:///{tmp_path / 'h.sqlite'}") as history:
        history.open()
        write(history, *(ended(f"old-{number}", 0.001 * number) for number in range(600)))
        loop = Pruning(history, 1, None, lambda: True, stopping)
        forget, asked = loop._forget_logs, []

        def stop_then(run_ids):
            asked.append(len(run_ids))
            forget(run_ids)
            stopping.set()

        loop._forget_logs = stop_then
        assert not loop.step()
        assert (asked, len(history.runs(1_000))) == ([500, 100], 100)


def test_only_the_writer_prunes(tmp_path, monkeypatch):
    monkeypatch.setattr(pruning, "PAUSE", 0.001)
    monkeypatch.setattr(pruning, "EVERY", 0.001)
    stopping, asked = threading.Event(), []

    def turn():
        asked.append(len(asked))
        if len(asked) == 3:
            stopping.set()
        return False

    with History(f"sqlite:///{tmp_path / 'none.sqlite'}") as history:  # which it never opens
        Pruning(history, 1, None, turn, stopping).run()
    assert asked == [0, 1, 2]
