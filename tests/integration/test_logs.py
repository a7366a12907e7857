"""Whatever a function writes, in whatever way, is in its own log, once and in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pydag_dist.client import Run
from pydag_dist.dag import limits
from tests.support import wait_until
from tests.support.cluster import Cluster
from tests.support.redis_server import RedisServer


def task(task_id: str, function: str, **kwargs: Any) -> dict[str, Any]:
    params = {"callable": f"tests.tasks.writes:{function}", "kwargs": kwargs}
    return {"task_id": task_id, "operator": "python.call", "params": params}


@pytest.fixture(scope="module")
def cluster(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    with Cluster(redis_server.url, tmp_path_factory.mktemp("logs")) as cluster:
        cluster.coordinator()
        cluster.worker(slots=4, imports=["tests.tasks.writes"], PYTHONUNBUFFERED="")
        yield cluster


def test_everything_that_is_written_is_in_its_own_log_once_and_in_order(cluster: Cluster) -> None:
    run = cluster.submit([task(f"t{n}", "everything", name=f"t{n}", rounds=3) for n in range(4)])
    ended = cluster.wait_ended(run)
    assert ended.state == "success", {name: t.error for name, t in ended.tasks.items()}
    for name, one in ended.tasks.items():
        lines = [line.line for line in run.logs(name)]
        decorated = [line for line in lines if line != ""]
        found = [line[line.index(f"{name} ") :] for line in decorated]
        assert found == one.result


def lines_of(run: Run, name: str) -> list[str]:
    return [line.line for line in run.logs(name)]


def test_odd_output_and_floods_are_cut_and_harm_nobody(cluster: Cluster) -> None:
    tasks = [task("odd", "odd"), task("flood", "flood", lines=300_000)]
    run = cluster.submit([*tasks, task("yes", "yes", seconds=0.3)])
    assert cluster.wait_ended(run, timeout=120).state == "success"
    dots = "." * limits.LOG_LINE + f"… ({80_000 - limits.LOG_LINE:,} bytes more)"
    odd = lines_of(run, "odd")
    assert odd[:8] == [
        r"\xff\xfe invalid",
        "a\0b",
        "\x1b[31mred\x1b[0m \u202e",
        r"half \ud83d",
        "100 %",
        "windows",
        "",
        "x" * limits.LOG_LINE + f"… ({20_000_000 - limits.LOG_LINE:,} bytes more)",
    ]
    # They were shown in pieces while the line went on.
    assert "".join(odd[8:-1]) == "." * 80_000 or odd[8:-1] == [dots]
    assert odd[-1] == "the end"
    flood = lines_of(run, "flood")
    number, gaps = 0, []
    for index, line in enumerate(flood):
        if "left out" in line:
            gaps.append(index)
            number += int(line.split()[0].strip("(").replace(",", ""))
        else:
            assert line == str(number)
            number += 1
    assert number == 300_000
    assert gaps[0] > 20_000
    assert len(flood) - gaps[0] > 20_000
    yes = lines_of(run, "yes")
    assert (yes[0], yes[-1]) == ("first", "last")
    assert {*yes[1:-1]} - {"y"} == {line for line in yes if "left out" in line}
    sizes = cluster.store.hgetall(cluster.key("logs"))
    most = limits.LOG_HEAD + limits.LOG_TAIL
    assert all(int(size) <= most for name, size in sizes.items() if name)


def test_the_beginning_of_a_line_is_shown_while_the_task_waits(
    cluster: Cluster, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    run = cluster.submit([task("t", "waits", flag=str(flag))])
    wait_until(lambda: run.tasks.get("t") and lines_of(run, "t") == ["a beginning"], "it is shown")
    flag.touch()
    cluster.wait_ended(run)
    assert lines_of(run, "t") == ["a beginning", "and an end"]


def test_what_a_try_leaves_behind_is_in_no_other_log(cluster: Cluster) -> None:
    for flag in ("", "close"):
        run = cluster.submit([task("t", "leaves", flag=flag)])
        after = cluster.submit(
            [task(f"n{n}", "everything", name=f"n{n}", rounds=1) for n in range(8)]
        )
        assert [one.state for one in cluster.wait_all_ended([run, after])] == ["success"] * 2
        assert lines_of(run, "t")[0] == "mine"
        for name in after.tasks:
            assert "too late" not in lines_of(after, name)


def test_each_try_gets_its_warnings(cluster: Cluster) -> None:
    run = cluster.submit([task(f"t{n}", "warns") for n in range(8)])
    cluster.wait_ended(run)
    for name in run.tasks:
        (first, *_) = lines_of(run, name)
        assert first.endswith("UserWarning: mind this")


def test_a_process_that_crashes_with_its_own_faulthandler_has_said_its_last_word(
    cluster: Cluster,
) -> None:
    run = cluster.submit([task("t", "enables_faulthandler_and_dies")])
    assert cluster.wait_ended(run).state == "failed"
    lines = lines_of(run, "t")
    assert len([line for line in lines if line.startswith("about to crash")]) == 3
    assert len([line for line in lines if "in enables_faulthandler_and_dies" in line]) == 3


def test_tracebacks_begin_with_the_authors_frame(cluster: Cluster) -> None:
    tasks = [task("own", "fails", how=""), task("package", "fails", how="package")]
    tasks += [task("awaited", "fails_async"), task("missing", "not_there")]
    run = cluster.submit(tasks)
    cluster.wait_ended(run)
    for name in ("own", "package", "awaited"):
        lines = lines_of(run, name)
        frames = [line for line in lines if line.startswith("  File ")]
        assert lines[0] == "Traceback (most recent call last):"
        assert "tests/tasks/writes.py" in frames[0]
        assert len(frames) == 1 or name == "package"
        assert lines[-1] == (run.tasks[name].error or "").splitlines()[-1]
    assert any("pydag_dist" in line for line in lines_of(run, "package"))
    assert lines_of(run, "missing") == ["module tests.tasks.writes has no function not_there"]


def test_a_coordinator_stores_the_log_of_a_try_when_it_has_ended(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cluster.submit([task("t", "warns")])
    cluster.wait_ended(run)
    lines = run.logs()
    assert lines
    stored = cluster.key("logs:stored")
    name = f"{run.id}:t:1"
    wait_until(lambda: cluster.store.zscore(stored, name), "the log is stored")
    cluster.store.zadd(stored, {name: 1})
    wait_until(lambda: not cluster.store.hexists(cluster.key("logs"), name), "Redis forgets it")
    monkeypatch.setenv("PYDAG_HOME", str(cluster.home))
    assert run.logs() == run.logs("t") == lines


def test_the_oldest_logs_make_way_before_runs_are_refused(cluster: Cluster) -> None:
    store = cluster.store
    older = int(store.hget(cluster.key("logs"), "") or 0)
    runs = [cluster.submit([task("t", "flood", lines=60_000)]) for _ in range(4)]
    cluster.wait_all_ended(runs)
    first = int(store.hget(cluster.key("logs"), f"{runs[0].id}:t:1"))
    assert first > limits.LOG_TAIL
    wanted = store.info("memory")["used_memory"] - older - first // 2
    before = store.config_get("maxmemory")["maxmemory"]
    store.config_set("maxmemory", int(wanted / limits.LOGS_MEMORY))
    try:
        wait_until(lambda: not all(run.logs() for run in runs), "the oldest log makes way")
        assert any(run.logs() for run in runs)
        run = cluster.submit([task("t", "warns")])
        assert cluster.wait_ended(run).state == "success"
    finally:
        store.config_set("maxmemory", before)
