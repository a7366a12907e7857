"""The log of a try: its parts, what is left out, and a Redis that is away or full."""

from __future__ import annotations

import json
import logging
import threading
import time

import fakeredis
import pytest
import redis

from pydag_dist.client.logs import LogReader
from pydag_dist.dag import limits
from pydag_dist.engine import Engine, Held, LogPart, Working
from pydag_dist.engine.snapshot import TaskSnapshot
from tests.support import wait_until
from workers import process
from workers.pool.output import logs
from workers.pool.output.logs import Log, TaskLogger, lines_of, log_of
from workers.pool.output.try_log import quiet_log

HELD = Held("run", "task", 1, "token")


@pytest.fixture
def engine(monkeypatch):
    engine = Engine(fakeredis.FakeRedis(decode_responses=True))
    monkeypatch.setattr(process, "_engine_of", lambda _pid: engine)
    return engine


class Ended:
    """A run whose task has ended."""

    def __init__(self, *tasks, tries=1):
        self.tasks = {
            name: TaskSnapshot("success", tries, None, None, None, None, None) for name in tasks
        }


def shown(engine, task="task"):
    reader = LogReader(engine.store.redis, engine.store.prefix, "run", task)
    return [line.line for line in reader.read(Ended(task))]


def sent():
    parts: list[LogPart] = []

    def send(part):
        parts.append(part)
        return "ok"

    return parts, send


def test_the_last_lines_of_several_logs_go_in_one_call_and_a_damaged_log_harms_no_other(
    engine, monkeypatch
):
    calls: list[int] = []
    write_logs = Working.write_logs

    def counted(working, parts, retention):
        calls.append(len(parts))
        return write_logs(working, parts, retention)

    monkeypatch.setattr(Working, "write_logs", counted)
    several = {held: log_of(held) for held in (Held("run", f"t{i}", 1, "token") for i in range(3))}
    for held, log in several.items():
        log.add(1.0, "INFO", f"of {held.task}")
    engine.store.redis.set("pydag:log:run:t1:1", "no stream")
    logs.close_all(several)
    assert calls == [3]
    assert (shown(engine, "t0"), shown(engine, "t2")) == (["of t0"], ["of t2"])


def test_what_redis_has_no_room_for_at_once_is_sent_log_by_log(engine, monkeypatch):
    several = {held: log_of(held) for held in (Held("run", f"t{i}", 1, "token") for i in range(2))}
    for log in several.values():
        log.add(1.0, "INFO", "line")
    write_logs = Working.write_logs
    answers = iter(["later"])
    monkeypatch.setattr(
        Working,
        "write_logs",
        lambda working, parts, retention: [
            next(answers, None) or write_logs(working, [part], retention)[0] for part in parts
        ],
    )
    logs.close_all(several)
    assert (shown(engine, "t0"), shown(engine, "t1")) == (["line"], ["line"])


def test_records_become_lines(engine):
    with quiet_log(HELD) as log:
        log.info("rows: %d", 3)
        log.warning("one\ntwo\n")
        log.debug("not shown")
        log.info("%d", "bad")
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            log.exception("failed")
    lines = shown(engine)
    assert lines[:3] == ["rows: 3", "one", "two"]
    assert lines[3].startswith("'%d' % ('bad',): TypeError")
    assert lines[4] == "failed"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert 0 < engine.store.redis.ttl("pydag:log:run:task:1") <= 7 * 86400


def test_lines_appear_while_the_task_runs(engine):
    with quiet_log(HELD) as log:
        log.info("begun")
        wait_until(lambda: shown(engine) == ["begun"], "the line is in the log")
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("task-log") == 1


def test_a_part_that_is_sent_again_is_there_once(engine):
    answers = iter([redis.ConnectionError("cut"), None])

    def send(part):
        logs.write(engine.working, HELD, part)
        if error := next(answers, None):
            raise error
        return "ok"

    log = Log(send, "w")
    log.add(1, "INFO", "first")
    with pytest.raises(redis.ConnectionError):
        log.send_waiting()
    log.add(2, "INFO", "second")
    log.send_waiting()
    assert shown(engine) == ["first", "second"]


@pytest.mark.parametrize(
    "part",
    [
        {"x": "y"},
        {"w": "w", "n": "x", "o": "0", "lines": "[]"},
        {"w": "w", "n": "0", "o": "0", "lines": "[[1e999, 'INFO', 'x']]"},
        {"w": "w", "n": "0", "o": "0", "lines": '[[1e999, "INFO", "x"]]'},
        {"w": "w", "n": "0", "o": "0", "lines": '[["INFO", "x"]]'},
        {"w": "w", "n": "5", "o": "0", "lines": "[]"},
    ],
)
def test_a_part_that_is_none_hides_no_other(engine, part):
    logs.write(engine.working, HELD, LogPart("w", 1, 0, 0, '[[1, "INFO", "first"]]'))
    engine.store.redis.xadd("pydag:log:run:task:1", part)
    assert shown(engine) == ["first", "(a part of this log is damaged)"]


def test_the_end_of_a_try_waits_for_a_redis_that_is_away():
    away = threading.Event()
    away.set()
    parts, keep = sent()

    def send(part):
        if away.is_set():
            raise redis.ConnectionError("gone")
        return keep(part)

    log = Log(send, "w")
    log.add(1, "INFO", "a line")
    timer = threading.Timer(0.3, away.clear)
    timer.start()
    log.close()
    assert [part.line for part in parts] == [0]


def test_a_redis_that_has_no_room_fails_nothing(monkeypatch):
    monkeypatch.setattr(logs, "_LAST_LINES", 0.1)
    log = Log(lambda _: "later", "w")
    log.add(1, "INFO", "a line")
    log.close()


def test_a_worker_that_has_to_end_does_not_wait(monkeypatch):
    monkeypatch.setattr(logs, "shutdown_since", lambda: time.monotonic() - 60)

    def send(_):
        raise redis.ConnectionError("gone")

    log = Log(send, "w")
    log.add(1, "INFO", "a line")
    log.close()


def test_of_too_much_the_beginning_and_the_end_are_kept_and_the_rest_counted(engine, monkeypatch):
    monkeypatch.setattr(limits, "LOG_HEAD", 1000)
    monkeypatch.setattr(limits, "LOG_TAIL", 1000)
    log = log_of(HELD)
    for number in range(1000):
        log.add(1, "INFO", str(number))
    log.close()
    lines = shown(engine)
    told = next(line for line in lines if "left out" in line)
    at = lines.index(told)
    first, last = lines[:at], lines[at + 1 :]
    assert first == [str(n) for n in range(len(first))]
    assert last == [str(n) for n in range(1000 - len(last), 1000)]
    size = sum(len(str(n)) for n in range(len(first), 1000 - len(last)))
    assert told.startswith(f"({1000 - len(first) - len(last):,} lines of {size:,} bytes are left")
    assert first
    assert last


def test_a_long_line_is_cut_and_odd_text_is_no_error(engine):
    with quiet_log(HELD) as log:
        log.info("half \udc80")
        log.info("")
        log.info("é" * 20_000)
    lines = shown(engine)
    assert lines[:2] == ["half \\udc80", ""]
    assert lines[2] == "é" * 8192 + "… (23,616 bytes more)"


def test_a_level_of_the_authors_own_is_no_error(engine):
    log = log_of(HELD)
    log.add(1, "\udc80" + "x" * 1_000_000, "text")
    log.close()
    (line,) = LogReader(engine.store.redis, engine.store.prefix, "run", "task").read(Ended("task"))
    assert (line.level, line.line) == ("\\udc80" + "x" * 14, "text")


def test_the_text_of_a_record():
    record = logging.LogRecord("x", logging.INFO, "f", 1, "a\nb", (), None)
    assert lines_of(record) == ["a", "b"]
    logger = TaskLogger(lambda *_: None)
    assert not logger.isEnabledFor(logging.DEBUG)


# What the engine's script holds to


def part(number, size=60_000, writer="w"):
    return LogPart(writer, number, number, number, json.dumps([[number, "INFO", "x" * size]]))


def write(engine, number, run="run", size=60_000, writer="w"):
    return engine.working.write_log(Held(run, "task", 1, ""), part(number, size, writer), 60)


def test_no_log_grows_beyond_its_bounds(engine):
    most = limits.LOG_HEAD + limits.LOG_TAIL
    for number in range(1, 101):
        assert write(engine, number) == "ok"
        assert int(engine.store.redis.hget("pydag:logs", "")) <= most
    kept = [int(fields["n"]) for _, fields in engine.store.redis.xrange("pydag:log:run:task:1")]
    gap = next(i for i in range(1, len(kept)) if kept[i] != kept[i - 1] + 1)
    assert kept == [*range(1, gap + 1), *range(101 - (len(kept) - gap), 101)]
    assert 15 <= gap <= 17
    assert 15 <= len(kept) - gap <= 17
    assert write(engine, 100) == "known"
    assert write(engine, 100, writer="another") == "ok"


@pytest.mark.big
def test_nor_does_one_of_many_small_parts(engine):
    for number in range(1, 1_050):
        write(engine, number, size=2_000)
    write(engine, 1_050, size=250_000)
    assert int(engine.store.redis.hget("pydag:logs", "")) <= limits.LOG_HEAD + limits.LOG_TAIL


def test_all_logs_together_make_the_oldest_make_way(engine, monkeypatch):
    monkeypatch.setitem(limits.LUA, "logs", 1_000_000)
    from pydag_dist.engine import script

    script.source.cache_clear()
    small = Engine(engine.store.redis)
    for number in range(40):
        assert write(small, 1, run=f"run{number:02}") == "ok"
        assert int(engine.store.redis.hget("pydag:logs", "")) <= 1_000_000
    script.source.cache_clear()
    kept = sorted(key for key in engine.store.redis.scan_iter("pydag:log:*:task:1"))
    assert kept == [f"pydag:log:run{number}:task:1" for number in range(24, 40)]
    sizes = engine.store.redis.hgetall("pydag:logs")
    total = int(sizes.pop(""))
    assert total == sum(map(int, sizes.values()))
    assert len(sizes) == len(kept) == engine.store.redis.zcard("pydag:logs:expiry")


def test_the_ticks_forget_what_is_past_its_time(engine):
    write(engine, 1, run="old")
    write(engine, 1, run="new")
    engine.store.redis.zadd("pydag:logs:expiry", {"old:task:1": 1})
    engine.store.call("tick", "epoch")
    assert engine.store.redis.exists("pydag:log:old:task:1", "pydag:log:old:task:1:state") == 0
    assert engine.store.redis.exists("pydag:log:new:task:1") == 1
    assert set(engine.store.redis.hkeys("pydag:logs")) == {"", "new:task:1"}
