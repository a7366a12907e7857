"""What was written, between its file descriptors and lines."""

from __future__ import annotations

import contextlib
import os
import random

import pytest

from pydag_dist.dag import limits
from pydag_dist.engine import Held
from workers.pool.output.spool import MARK, Spool
from workers.pool.output.spool_lines import SpoolParser

HELD = Held("run", "task", 2, "12-3")


@pytest.fixture
def spool():
    spool = Spool()
    yield spool
    spool.close()


def lines(spool, sizes=(1 << 20,)):
    parser, found, number = SpoolParser(), [], 0
    while data := spool.text(parser.position)[: sizes[number % len(sizes)]]:
        found += parser.feed(data)
        number += 1
    return found + list(parser.finish())


def texts(spool, **options):
    return [said.text for said in lines(spool, **options)]


def test_what_is_printed_and_logged_is_in_order(spool):
    os.write(spool.write, b"a\nb")
    spool.move()
    os.write(spool.write, b"c\n")
    spool.record(5.0, "WARNING", "logged")
    os.write(spool.write, b"\nno end")
    spool.record(6.0, "INFO", "cuts it")
    os.write(spool.write, b"last")
    spool.move()
    found = lines(spool)
    assert [(s.level, s.text) for s in found] == [
        ("INFO", "a"),
        ("INFO", "bc"),
        ("WARNING", "logged"),
        ("INFO", ""),
        ("INFO", "no end"),
        ("INFO", "cuts it"),
        ("INFO", "last"),
    ]
    assert found[2].at == 5.0
    assert found[0].at > 1e9
    positions = [said.position for said in found]
    assert positions == sorted(set(positions))  # parts are known by them
    assert positions[-1] == spool.size


def test_pieces_of_any_size_make_the_same_lines(spool):
    random.seed(1)
    for number in range(50):
        os.write(spool.write, b"line %d\n\0\xffx" % number)
        spool.move()
        if number % 3 == 0:
            spool.record(number, "INFO", f"record {number}")
    expected = texts(spool)
    for _ in range(20):
        assert texts(spool, sizes=[random.randint(1, 40) for _ in range(7)]) == expected


def test_reading_on_from_any_line_finds_the_rest(spool):
    for number in range(20):
        os.write(spool.write, b"line %d\n" % number)
        spool.record(number, "INFO", f"record {number}")
    found = lines(spool)
    for index, said in enumerate(found):
        parser = SpoolParser(said.position)
        rest = [one.text for one in parser.feed(spool.text(said.position))]
        assert rest == [one.text for one in found[index + 1 :]]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\xff\xfe\n", ["\\xff\\xfe"]),
        (b"a\0b\n", ["a\0b"]),
        (b"windows\r\n", ["windows"]),
        (b"1 %\r2 %\r3 %\n", ["3 %"]),
        (b"\r1 %\r2 %", ["2 %"]),
        (b"\n\n", ["", ""]),
        (b"x" * 50_000 + b"\n", ["x" * limits.LOG_LINE + "… (33,616 bytes more)"]),
        (b"%9d\r" % 7 * 10_000 + b"done\n", ["done"]),
    ],
)
def test_odd_output(spool, raw, expected):
    for start in range(0, len(raw), 60_000):
        os.write(spool.write, raw[start : start + 60_000])
        spool.move()
    assert texts(spool) == expected


def test_a_record_that_could_not_be_written_whole_harms_no_other(spool):
    for kind in (b'r[1.0, "IN', b"t17"):
        spool.record(1.0, "INFO", "before")
        spool._append(MARK + kind + b"x")
        os.write(spool.write, b"\n")
        spool.record(1.0, "INFO", "after")
    assert [text for text in texts(spool) if text] == ["before", "after"] * 2


def test_of_what_is_left_out_lines_and_bytes_are_counted(spool):
    os.write(spool.write, b"one\ntwo\nthree")
    spool.move()
    parser = SpoolParser()
    assert parser.skip(spool.text(0)) == (2, 8)
    assert [said.text for said in parser.feed(spool.text(parser.position) + b"!\n")] == ["three!"]


def test_the_parent_finds_what_a_process_left(spool):
    spool.begin(HELD)
    os.write(spool.write, b"sent\n")
    spool.move()
    os.write(spool.write, b"in the pipe")
    assert spool.held() == HELD
    spool.size = 0  # as the parent knows it
    spool.take_over()
    assert texts(spool) == ["sent", "in the pipe"]
    spool.end()
    assert spool.held() is None
    assert texts(spool) == []


def test_a_pipe_that_its_process_cannot_read_is_read_by_the_parent(spool, monkeypatch):
    monkeypatch.setattr("workers.pool.output.spool.STUCK", -1)
    os.set_blocking(spool.write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(spool.write, b"x" * 4096)
    monkeypatch.setattr("workers.pool.output.spool.STUCK", 60)
    assert spool.relieve() == 0  # it may read it yet
    monkeypatch.setattr("workers.pool.output.spool.STUCK", -1)
    assert spool.relieve() > 30_000
    assert not spool.is_waiting()
