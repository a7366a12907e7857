"""What is told of an error: where the author's code failed, not what called it."""

from __future__ import annotations

from types import SimpleNamespace

from workers.operators.python import call
from workers.pool import tracebacks
from workers.task import Execute
from workers.tries.outcome import Ended


def raises():
    try:
        int("x")
    except ValueError as error:
        raise KeyError("mine") from error


def text_of(function):
    try:
        call._called("x:y", function, (), {})
    except BaseException as error:  # noqa: BLE001
        return tracebacks.cut(error.with_traceback(error.__traceback__.tb_next))
    raise AssertionError


def test_callers_are_left_out():
    text = text_of(raises)
    assert "python/call.py" not in text
    assert text.count("in raises") == 2
    assert text.endswith("KeyError: 'mine'\n")


def test_an_error_without_a_frame_of_the_author_keeps_all():
    text = text_of(None)
    assert "python/call.py" in text
    assert "'NoneType' object is not callable" in text


def test_flower_shows_the_same():
    class Task(Execute):
        request = SimpleNamespace()

    task = Task()
    for ended, shown in (
        (Ended("failed", error="KeyError: 'mine'", trace="Traceback …"), "Traceback …"),
        (Ended("failed", error="no such module"), "no such module"),
        (None, "no such module"),
    ):
        task.request.pydag_ended = ended
        einfo = SimpleNamespace(traceback="frames of ours")
        task.on_failure(ValueError("no such module"), "id", (), {}, einfo)
        assert einfo.traceback == shown
