"""What a try started ends with it, and its process is as it was: on real workers."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pydag_dist.client import Run
from pydag_dist.engine.celery.messages import celery_config
from pydag_dist.settings import Settings
from tests.support import is_alive, wait_until
from tests.support.cluster import Cluster
from tests.support.redis_server import RedisServer
from tests.tasks import started


def task(task_id: str, function: str, **kwargs: Any) -> dict[str, Any]:
    params = {"callable": f"tests.tasks.started:{function}", "kwargs": kwargs}
    return {"task_id": task_id, "operator": "python.call", "params": params}


def start(redis_server: RedisServer, directory: Path, slots: int) -> Iterator[Cluster]:
    with Cluster(redis_server.url, directory) as cluster:
        cluster.coordinator()
        cluster.worker(slots=slots, imports=["tests.tasks.started"])
        yield cluster


@pytest.fixture(scope="module")
def wide(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A worker of many slots."""
    yield from start(redis_server, tmp_path_factory.mktemp("wide"), 24)


@pytest.fixture(scope="module")
def narrow(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A worker of one process: each task runs where the one before did."""
    yield from start(redis_server, tmp_path_factory.mktemp("narrow"), 1)


class Folders:
    """A folder for each task, where it notes what it started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tasks: list[str] = []

    def make(self, task_id: str) -> str:
        folder = self.directory / task_id
        folder.mkdir()
        self.tasks.append(task_id)
        return str(folder)

    def have(self, name: str) -> set[str]:
        return {one for one in self.tasks if (self.directory / one / name).exists()}

    def alive(self) -> dict[str, list[int]]:
        """The processes of tasks that still run."""
        found = {}
        for one in self.tasks:
            names = [path.name for path in (self.directory / one).iterdir()]
            if pids := [int(name) for name in names if name.isdigit() and is_alive(int(name))]:
                found[one] = pids
        return found


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def logged(run: Run, task_id: str) -> list[str]:
    return [line.line for line in run.logs(task_id)]


def name(text: str) -> str:
    return text.replace(" ", "-").replace("'", "")


def test_a_function_that_waits_for_anything_is_stopped_and_cleans_up(
    wide: Cluster, folders: Folders
) -> None:
    tasks = [
        task(one, "wait", folder=folders.make(one), how=how)
        for how in started.WAITS
        for one in [name(how)]
    ]
    tasks += [
        task(one, "wait_async", folder=folders.make(one), blocks=one == "blocked-coroutine")
        for one in ("coroutine", "blocked-coroutine")
    ]
    run = wide.submit(tasks)
    everybody = set(folders.tasks)
    wait_until(lambda: folders.have("began") == everybody, "all wait")
    wide.engine.steering.cancel(run.id)
    snapshot = wide.wait_ended(run)
    assert folders.alive() == {}
    assert {one for one, t in snapshot.tasks.items() if t.state != "cancelled"} == set()
    assert folders.have("finally") == everybody
    for one in everybody:
        lines = logged(run, one)
        assert "told to stop" in lines
        assert not [line for line in lines if "killed" in line]


def test_who_does_not_end_is_killed_with_all_that_it_started_and_its_log_says_so(
    wide: Cluster, folders: Folders
) -> None:
    run = wide.submit([task("t", "never_ends", folder=folders.make("t"))])
    wait_until(lambda: folders.have("began"), "it runs")
    wide.engine.steering.cancel(run.id)
    assert wide.wait_ended(run).tasks["t"].state == "cancelled"
    assert folders.alive() == {}
    said = "the process of this try was killed: told to stop, it did not end within 10 s"
    assert said in logged(run, "t")


def test_no_process_outlives_the_try_that_started_it(wide: Cluster, folders: Folders) -> None:
    tasks = []
    for what in started.LEAVES:
        for then in ("", "fail", "die"):
            one = name(f"{what} {then or 'returns'}")
            tasks.append(task(one, "leave", folder=folders.make(one), what=what, then=then))
    run = wide.submit(tasks)
    snapshot = wide.wait_ended(run)
    assert folders.alive() == {}
    for one, ended in snapshot.tasks.items():
        how = one.rsplit("-", 1)[1]
        assert ended.state == ("success" if how == "returns" else "failed"), one
        died = "died of SIGKILL; died of SIGKILL; died of SIGKILL"
        said = {"returns": "", "fail": "told to fail", "die": died}[how]
        assert said in (ended.error or ""), one
    lines = logged(run, "thread-returns")
    assert "of the thread" in lines
    replaced = re.compile(
        r"the worker replaces the process .*: its thread Thread-\d+ \(work\) still"
    )
    assert any(map(replaced.match, lines))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works_again_and_again(narrow: Cluster, method: str) -> None:
    squares = [9, [0, 1, 4, 9], [0, 1, 4, 9], 0]
    results = []
    for _ in range(2):
        run = narrow.submit([task("t", "compute", method=method)])
        snapshot = narrow.wait_ended(run)
        assert snapshot.tasks["t"].error is None
        assert "squaring" in logged(run, "t")  # by those processes
        results.append(snapshot.tasks["t"].result)
    assert [result[:-1] for result in results] == [squares, squares]
    assert results[0][-1] == results[1][-1]  # the same process


def call(cluster: Cluster, function: str, **kwargs: Any) -> Any:
    run = cluster.submit([task("t", function, **kwargs)])
    ended = cluster.wait_ended(run).tasks["t"]
    return ended.result if ended.state == "success" else ended.error


def test_each_try_begins_as_the_process_was(narrow: Cluster) -> None:
    before = call(narrow, "look")
    for what in started.CHANGES:
        assert call(narrow, "change", what=what) == before["pid"], what
        assert call(narrow, "look") == before, what


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change these")
@pytest.mark.parametrize("what", started.FOR_GOOD)
def test_what_cannot_be_put_back_takes_the_process_along(narrow: Cluster, what: str) -> None:
    before = call(narrow, "look")
    assert call(narrow, "change", what=what) == before["pid"]
    after = call(narrow, "look")
    assert after.pop("pid") != before.pop("pid")
    assert json.dumps(after) == json.dumps(before)


def test_coroutines_are_awaited_and_generators_refused(narrow: Cluster) -> None:
    assert call(narrow, "await_something", value=7) == 7
    assert "returned a coroutine that nobody awaits: make it `async def`" in call(
        narrow, "not_awaited"
    )
    for function in ("generate", "generate_async"):
        assert "is a generator function, and calling it runs nothing" in call(narrow, function)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exit", "ended with exit status 3"),
        ("abort", "died of SIGABRT"),
        ("segfault", "died of SIGSEGV"),
        ("SIGKILL", "died of SIGKILL"),
        ("SIGTERM", "ended at SIGTERM"),
    ],
)
def test_the_last_words_of_a_process_that_dies_are_in_the_log_once(
    narrow: Cluster, how: str, said: str
) -> None:
    run = narrow.submit([task("t", "say_and_die", how=how, lines=700)])
    error = narrow.wait_ended(run).tasks["t"].error
    assert error is not None
    assert error.startswith("poison: 3 times the worker process died")
    assert f"({said}; {said}; {said})" in error
    assert error.splitlines()[0] in run.why("t")
    lines = logged(run, "t")
    assert [line for line in lines if line.startswith("line")] == [
        f"line {n}" for n in range(700)
    ] * 3
    assert lines.count(f"the process of this try {said}") == 3
    if how in ("abort", "segfault"):  # where it was
        assert any("in say_and_die" in line for line in lines)


def test_what_tasks_started_is_gone_with_the_worker_that_is_killed(
    cluster: Cluster, folders: Folders
) -> None:
    cluster.coordinator()
    worker = cluster.worker(slots=7, imports=["tests.tasks.started"])
    kinds = ["session", "stubborn", "daemon", "shell's child", "fork", "forkserver"]
    tasks = [
        task(one, "leave", folder=folders.make(one), what=what, then="wait")
        for what in kinds
        for one in [name(what)]
    ]
    run = cluster.submit([*tasks, task("t", "never_ends", folder=folders.make("t"))])
    wait_until(lambda: folders.have("began") == set(folders.tasks), "all run")
    assert set(folders.alive()) == set(folders.tasks)
    family = worker.children()
    worker.signal(signal.SIGKILL)
    wait_until(lambda: folders.alive() == {}, "what they started is gone")
    wait_until(lambda: not any(map(is_alive, family)), "the pool is gone")
    cluster.engine.steering.cancel(run.id)


@pytest.mark.parametrize("how", ["swallows", "leaves"])
def test_what_flower_terminates_is_cancelled_when_nothing_of_it_is_left(
    wide: Cluster, folders: Folders, how: str
) -> None:
    from celery import Celery

    run = wide.submit(
        [task("t", "never_ends", folder=folders.make("t"))]
        if how == "swallows"
        else [task("t", "leave", folder=folders.make("t"), what="stubborn", then="wait")]
    )
    wait_until(lambda: folders.have("began"), "it runs")
    app = Celery("flower", set_as_current=False)
    app.config_from_object(celery_config(Settings(redis_url=wide.url, key_prefix=wide.prefix)))
    app.control.revoke(f"{run.id}/t/1", terminate=True, reply=True, timeout=60, limit=1)
    assert wide.wait_ended(run).tasks["t"].state == "cancelled"
    assert folders.alive() == {}
