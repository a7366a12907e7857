"""How a try ends whose function raises `Skip` or `Fail`, or fails so that repeating can't help."""

from __future__ import annotations

import asyncio
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import pydag_dist
from pydag_dist import Fail, Skip
from tests.unit.workers.support import Log, context
from workers.errors import HostLacks, TaskFailed
from workers.google import errors
from workers.operators import find
from workers.tries.outcome import failed


def ended(error, log=None):
    found = failed(context(log=log), error)
    return found.outcome, found.error


async def _in_a_group(*errors):
    async def fail(error):
        await asyncio.sleep(0)
        raise error

    async with asyncio.TaskGroup() as group:
        for error in errors:
            group.create_task(fail(error))


def raised(what, *arguments):
    try:
        what(*arguments)
    except BaseException as error:  # noqa: BLE001  whatever it is
        return error
    raise AssertionError("nothing was raised")


class Nothing(Skip):
    """A subclass of a user's."""


def test_skip_skips_and_fail_fails_for_good_with_their_reasons():
    assert ended(Skip("no files")) == ("skipped", "no files")
    assert ended(Nothing("no files")) == ("skipped", "no files")
    assert ended(Fail("unknown")) == ("final", "unknown")
    assert ended(Skip()) == ("skipped", "no reason was given")
    assert ended(KeyError("x")) == ("failed", "KeyError: 'x'")


def test_only_a_fail_leaves_a_traceback():
    log = Log()
    ended(Skip("no files"), log)
    assert log.lines == ["skips itself: no files"]


def test_they_come_through_threads_and_pickles():
    with ThreadPoolExecutor() as pool:
        future = pool.submit(_raise, Skip("no files"))
        assert ended(raised(future.result)) == ("skipped", "no files")
    assert ended(pickle.loads(pickle.dumps(Fail("unknown")))) == ("final", "unknown")


def _raise(error):
    raise error


def test_of_a_group_all_must_skip_and_one_may_fail():
    def of(*errors):
        return ended(raised(asyncio.run, _in_a_group(*errors)))

    assert of(Skip("a")) == ("skipped", "a")
    assert of(Skip("a"), Skip("b"))[0] == "skipped"
    assert of(Skip("a"), KeyError("b"))[0] == "failed"
    assert of(Skip("a"), Fail("b")) == ("final", "b")


def test_what_is_raised_because_of_a_skip_is_a_failure():
    error = KeyError("x")
    error.__cause__ = Skip("no files")
    assert ended(error) == ("failed", "KeyError: 'x'")


def test_they_can_be_imported_without_anything_of_a_worker():
    assert (pydag_dist.Skip, pydag_dist.Fail) == (Skip, Fail)
    assert sys.modules[Skip.__module__].__name__ == "pydag_dist.errors"
    assert issubclass(Skip, Exception)
    assert not issubclass(Fail, pydag_dist.errors.PydagError)


MODULE = """
import asyncio
from pydag_dist import Skip

def needs(a): return len(a)
async def waits(a): await asyncio.sleep(0); raise Skip(a)
class Made:
    def __init__(self, a): raise TypeError("mine")
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    (tmp_path / "etl_of_skips.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(name, *args, operator="python.call", **kwargs):
        params = {"callable": f"etl_of_skips:{name}", "args": list(args), "kwargs": kwargs}
        task = context(params, settings={"imports": ("etl_of_skips",)})
        return ended(raised(find(operator).execute, task))

    yield call
    sys.modules.pop("etl_of_skips", None)


def test_arguments_that_a_function_can_not_take_are_not_tried_again(call):
    said = "callable 'etl_of_skips:needs' can't be called so: needs() "
    assert call("needs") == ("final", f"{said}missing 1 required positional argument: 'a'")
    assert call("needs", 1, 2)[0] == call("needs", b=1)[0] == call("waits")[0] == "final"
    assert call("Made")[0] == "final"


def test_a_type_error_of_the_function_itself_is(call):
    assert call("needs", 1) == ("failed", "TypeError: object of type 'int' has no len()")
    assert call("Made", 1) == ("failed", "TypeError: mine")


def test_a_coroutine_skips(call):
    assert call("waits", "no files") == ("skipped", "no files")


def test_a_callable_that_is_refused_is_not_tried_again(call):
    assert call("nothing")[0] == "final"
    assert call("asyncio")[0] == "final"
    elsewhere = context({"callable": "os:system"}, settings={"imports": ("etl_of_skips",)})
    assert isinstance(raised(find("python.call").execute, elsewhere), HostLacks)


# BigQuery's own texts: https://cloud.google.com/bigquery/docs/error-messages
@pytest.mark.parametrize(
    ("reason", "message", "final"),
    [
        ("notFound", "Not found: Table p:d.t was not found in location US", True),
        ("notFound", "Not found: Dataset p:d was not found in location EU", True),
        ("notFound", "Not found: Job p:US.x", False),
        ("notFound", "Not found: URI gs://b/o", False),
        ("notFound", "No such object: b/o", False),
        ("invalidQuery", "Unrecognized name: x at [1:8]", True),
        ("invalidQuery", "Syntax error: Unexpected end of script at [2:1]", True),
        ("invalidQuery", "Division by zero: 1 / 0", False),
        ("invalidQuery", "Query error: Division by zero: 1 / 0 at [3:1]", False),
        (
            "invalidQuery",
            "Could not serialize access to table p:d.t due to concurrent update",
            False,
        ),
        ("duplicate", "Already Exists: Table p:d.t", True),
        ("bytesBilledLimitExceeded", "Query exceeded limit for bytes billed", True),
        ("accessDenied", "Access Denied: Table p:d.t", False),
        ("quotaExceeded", "Quota exceeded", False),
        ("invalid", "Error while reading data", False),
        ("backendError", "try again", False),
    ],
)
def test_which_errors_of_bigquery_are_not_tried_again(reason, message, final):
    assert errors.is_final({"reason": reason, "message": message}) is final


@pytest.mark.parametrize("details", [None, "", {}, {"reason": None}, {"reason": ["notFound"]}])
def test_an_error_that_can_not_be_read_is_tried_again(details):
    assert errors.is_final(details) is False


def test_a_failure_is_tried_again_unless_it_says_otherwise():
    assert ended(TaskFailed("check failed"))[0] == "failed"
    assert ended(TaskFailed("no such thing", final=True)) == ("final", "no such thing")
