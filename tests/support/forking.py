"""`--parallel N`: N processes run the tests, forked from the one that has collected them.

Processes that pytest-xdist starts collect the tests each by itself, which takes seconds of a core,
and are handed a file while they still work on another one. Warnings are errors here: none needs to
be passed on.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable
from multiprocessing import connection, get_context
from typing import Any

import pytest

from tests.support import PROCESS

FORK = get_context("fork")
NEXT = "next"  # what a process asks for a share of the tests with; hooks are all else that it tells


class Processes:
    """Processes that run the tests of a session, those of one share in one of them."""

    def __init__(self, session: pytest.Session, share: Callable[[str], str]) -> None:
        self._session = session
        self._hook = session.config.hook
        shares: dict[str, deque[int]] = {}
        for place, item in enumerate(session.items):
            shares.setdefault(share(item.nodeid), deque()).append(place)
        self._todo = deque(shares.values())
        self._running: dict[Any, Worker] = {}

    def run(self, count: int) -> None:
        """Run all tests in as many processes. One that dies has failed its test, and has a heir."""
        assert len(os.listdir("/proc/self/task")) == 1, "threads are not forked"  # noqa: PTH208
        self._session.config.pluginmanager.getplugin("terminalreporter").showfspath = False
        self._session.config._tmp_path_factory.getbasetemp()
        for number in range(min(count, len(self._todo))):
            self._begin(number)
        try:
            while self._running:
                for end in connection.wait(self._running):
                    message = None
                    with contextlib.suppress(EOFError, ConnectionResetError):
                        message = end.recv()
                    if message:
                        self._told(self._running[end], *message)
                    else:
                        self._ended(self._running.pop(end))
                    if reason := self._session.shouldfail or self._session.shouldstop:
                        raise self._session.Failed(reason)
        finally:
            for end, worker in self._running.items():
                end.close()  # it ends as soon as it has something to tell
                worker.process.join()

    def _begin(self, number: int) -> None:
        end, theirs = FORK.Pipe()
        ours = [end, *self._running]
        process = FORK.Process(target=_work, args=(self._session, number, theirs, ours))
        process.start()
        theirs.close()
        self._running[end] = Worker(number, process, end)

    def _told(self, worker: Worker, name: str, arguments: dict[str, Any]) -> None:
        if name == NEXT:
            worker.left = self._todo.popleft() if self._todo else deque()
            worker.dismissed = not worker.left
            worker.end.send([*worker.left])
            return
        if name == "pytest_runtest_logstart":
            worker.item = self._session.items[worker.left.popleft()]
        if name == "pytest_runtest_logreport":
            arguments["report"] = self._hook.pytest_report_from_serializable(
                config=self._session.config, data=arguments["report"]
            )
        getattr(self._hook, name)(**arguments)

    def _ended(self, worker: Worker) -> None:
        worker.process.join()
        worker.end.close()
        if worker.dismissed and worker.process.exitcode == 0:
            return
        what = f"process {worker.number} of the tests ended with {worker.process.exitcode}"
        if worker.item is None:
            raise self._session.Interrupted(f"{what} before its first test")
        report = pytest.TestReport(
            worker.item.nodeid, worker.item.location, {}, "failed", f"{what} here", "call"
        )
        self._hook.pytest_runtest_logreport(report=report)
        if worker.left:
            self._todo.appendleft(worker.left)
        if self._todo:
            self._begin(worker.number)


class Worker:
    """What is known of one of the processes."""

    def __init__(self, number: int, process: Any, end: Any) -> None:
        self.number = number
        self.process = process
        self.end = end
        self.item: pytest.Item | None = None  # that it has begun last
        self.left: deque[int] = deque()  # places of those of its share that it has not begun
        self.dismissed = False


class Teller:
    """Tells the process that forked this one what its terminal reporter would print."""

    def __init__(self, config: pytest.Config, end: Any) -> None:
        self._config = config
        self._end = end
        self._tw = config.get_terminal_writer()  # for the stacks that pytest-timeout prints

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self._end.send(("pytest_runtest_logstart", {"nodeid": nodeid, "location": location}))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._end.send(("pytest_runtest_logreport", {"report": data}))

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self._end.send(("pytest_runtest_logfinish", {"nodeid": nodeid, "location": location}))


def _work(session: pytest.Session, number: int, end: Any, theirs: list[Any]) -> None:
    """Run one share after the other. What a session's fixtures have made stays between them."""
    for each in theirs:
        each.close()
    os.environ[PROCESS] = str(number)
    config, plugins = session.config, session.config.pluginmanager
    capture = plugins.getplugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()  # into files of its own
    capture.suspend_global_capture()
    teller = Teller(config, end)
    plugins.unregister(name="terminalreporter")
    plugins.register(teller, "terminalreporter")
    factory = config._tmp_path_factory
    factory._basetemp = factory.getbasetemp() / f"process-{number}"
    factory._basetemp.mkdir(exist_ok=True)
    try:
        end.send((NEXT, {}))
        while places := end.recv():
            items: list[Any] = [session.items[place] for place in places]
            # The session as the next item: what is not its own is torn down.
            for item, following in zip(items, [*items[1:], session], strict=True):
                config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            end.send((NEXT, {}))
    except (KeyboardInterrupt, EOFError, ConnectionError):
        sys.exit(1)  # the other process knows why
    finally:
        session._setupstate.teardown_exact(None)
