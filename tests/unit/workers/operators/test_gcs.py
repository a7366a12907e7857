"""Many objects at a time."""

from __future__ import annotations

import threading

import pytest

from workers.google.storage import Uri, each, sliced


def test_each_result_is_told_in_the_order_of_the_things():
    told = []
    each(range(2500), lambda thing, _stop: -thing, told.append)
    assert told == [-thing for thing in range(2500)]


def test_the_first_error_ends_the_rest_and_what_is_under_way():
    begun, stopped = threading.Event(), threading.Event()
    done = []

    def do(thing, stop):
        if thing == 0:
            begun.wait(30)
            raise ValueError("no luck")
        if thing == 1:
            begun.set()
            stop.wait(30)
            stopped.set()
        done.append(thing)

    with pytest.raises(ValueError, match="no luck"):
        each(range(900), do, lambda _: None)
    assert stopped.is_set()
    assert len(done) < 900


def test_what_stops_this_thread_stops_the_others():
    class Stopped(BaseException):
        pass

    stops = []

    def do(thing, stop):
        stops.append(stop)
        if thing:
            stop.wait(30)

    def tell(_result):
        raise Stopped

    with pytest.raises(Stopped):
        each(range(5), do, tell)
    assert stops[0].is_set()


def test_slices():
    assert list(sliced("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
    assert list(sliced("", 2)) == []


def test_uris():
    assert Uri.of("gs://b/a/c") == ("b", "a/c")
    assert not Uri.of("gs://b/a/c").is_folder
    assert Uri.of("gs://b/a/").is_folder
    assert str(Uri("b", "a/c")) == "gs://b/a/c"
