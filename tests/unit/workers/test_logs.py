from __future__ import annotations

import logging
import sys
import threading

import fakeredis
import pytest
import redis

from tests.support import wait_until
from workers import logs
from workers.logs import RedisStreamHandler, captured_output, log_key, task_log

KEY = log_key("pydag", "run", "task", 1)


@pytest.fixture
def client():
    return fakeredis.FakeRedis(decode_responses=True)


def logger_of(handler):
    logger = logging.Logger("test", logging.INFO)  # noqa: LOG001  one per test
    logger.addHandler(handler)
    return logger


def lines(client):
    return [fields["line"] for _, fields in client.xrange(KEY)]


def test_lines_go_to_the_stream_of_the_try(client):
    with task_log(client, KEY, 60) as log:
        log.info("rows: %d", 3)
        log.warning("one\ntwo")
        log.debug("not shown")
    assert KEY == "pydag:log:run:task:1"
    entries = [fields for _, fields in client.xrange(KEY)]
    assert [(e["level"], e["line"]) for e in entries] == [
        ("INFO", "rows: 3"),
        ("WARNING", "one"),
        ("WARNING", "two"),
    ]
    assert float(entries[0]["t"]) > 1e9
    assert 0 < client.ttl(KEY) <= 60


def test_a_task_that_logs_nothing_costs_nothing(client):
    before = threading.active_count()
    with task_log(client, KEY, 60):
        assert threading.active_count() == before
    assert not client.exists(KEY)


def test_all_tasks_share_one_thread(client):
    for _ in range(3):
        with task_log(client, KEY, 60) as log:
            log.info("a line")
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("task-log") == 1


def test_lines_appear_while_the_task_runs(client):
    with task_log(client, KEY, 60) as log:
        log.info("begun")
        wait_until(lambda: lines(client) == ["begun"], "the line in the stream")


def test_the_stream_is_capped(client, monkeypatch):
    monkeypatch.setattr(logs, "MAX_LINES", 50)
    with task_log(client, KEY, 60) as log:
        for number in range(300):
            log.info("%d", number)
    kept = lines(client)
    assert len(kept) <= 102  # the cap is approximate: whole nodes of a stream are dropped
    assert kept[-1] == "299"


def test_an_exception_is_logged_with_its_traceback(client):
    with task_log(client, KEY, 60) as log:
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            log.exception("failed")
    assert lines(client)[0] == "failed"
    assert lines(client)[-1] == "ZeroDivisionError: division by zero"


def test_what_cannot_be_sent_waits_until_redis_is_back():
    away = threading.Event()
    away.set()
    sent: list[str] = []

    def send(batch):
        if away.is_set():
            raise redis.ConnectionError("gone")
        sent.extend(line for _, _, line in batch)

    handler = RedisStreamHandler(send)
    logger = logger_of(handler)
    for number in range(3):
        logger.info("%d", number)
    away.clear()
    handler.close()
    assert sent == ["0", "1", "2"]


def test_redis_away_for_good_fails_nothing(monkeypatch):
    monkeypatch.setattr(logs, "_FAREWELL", 0.1)
    attempted = threading.Event()

    def send(_batch):
        attempted.set()
        raise redis.ConnectionError("gone")

    handler = RedisStreamHandler(send)
    logger = logger_of(handler)
    logger.info("lost")
    handler.close()
    assert attempted.is_set()


def test_too_many_waiting_lines_are_dropped_and_counted(client, monkeypatch):
    monkeypatch.setattr(logs, "MAX_LINES", 10)
    monkeypatch.setattr(logs._SENDER, "add", lambda _: None)  # nothing is sent before the end
    with task_log(client, KEY, 60) as log:
        for number in range(15):
            log.info("%d", number)
    assert lines(client)[0].startswith("(5 lines were lost")
    assert lines(client)[1:] == [str(number) for number in range(5, 15)]


def test_odd_text_is_no_error(client):
    with task_log(client, KEY, 60) as log:
        log.info("\udc80")
        log.info("")
        log.info("x" * 20_000)
    assert lines(client)[:2] == ["?", ""]
    assert lines(client)[2].endswith("… (3616 characters more)")


def test_printed_lines_are_logged(client):
    with task_log(client, KEY, 60) as log, captured_output(log):
        sys.stdout.write("to ")
        sys.stdout.write("stdout\n")
        sys.stderr.write("to stderr\n")
        sys.stdout.write("no newline")
    assert sorted(lines(client)) == ["no newline", "to stderr", "to stdout"]
