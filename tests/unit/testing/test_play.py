"""`play`: what stands in, what passes of time, and what is told."""

from __future__ import annotations

import cProfile

import pytest

from pydag_dist import Dag, Fail, Skip
from pydag_dist.errors import InvalidDag, PydagError, TaskFailed
from pydag_dist.testing import after, play

QUERY = {"operator": "bigquery.query", "params": {"sql": "SELECT 1"}}
SENSOR = {"operator": "bigquery.wait_table", "params": {"table": "p.d.t"}}


def dag(*tasks, **fields):
    return Dag.parse({"dag_id": "d", "tasks": list(tasks), **fields})


def call(task_id, name, *args, **fields):
    params = {"callable": f"{__name__}:{name}", "args": list(args)}
    return {"task_id": task_id, "operator": "python.call", "params": params, **fields}


def query(task_id, *above, **fields):
    return {"task_id": task_id, **QUERY, "dependencies": list(above), **fields}


def run_dag(task_id, dag_id, **fields):
    return {"task_id": task_id, "operator": "dag.run", "params": {"dag": dag_id}, **fields}


async def waits(number):
    return number + 1


def yields():
    yield 1


def raises(kind):
    raise {
        "exit": SystemExit(3),
        "well": SystemExit(0),
        "group": ExceptionGroup("all", [Skip("a"), Skip("b")]),
    }[kind]


def mistaken():
    return len(3)


@pytest.mark.parametrize(
    ("task", "state", "tries", "error"),
    [
        (call("t", "waits", 1), "success", 1, ""),
        (call("t", "waits"), "failed", 1, "can't be called so: waits() missing 1"),
        (call("t", "yields"), "failed", 1, "is a generator function"),
        (call("t", "nothing"), "failed", 1, "has no function nothing"),
        (call("t", "mistaken"), "failed", 3, "TypeError: object of type 'int' has no len"),
        (call("t", "raises", "exit"), "failed", 3, "SystemExit: 3"),
        (call("t", "raises", "well"), "success", 1, ""),
        (call("t", "raises", "group"), "skipped", 1, "a"),
    ],
)
def test_functions_are_called_and_judged_as_by_a_worker(task, state, tries, error):
    run = play(dag({**task, "retries": 2}))

    assert run.states == {"t": state}
    assert len(run.tasks["t"].tries) == tries
    assert error in run.tasks["t"].error


@pytest.mark.parametrize(
    ("stand_in", "state", "tries"),
    [
        ({"rows": 1}, "success", 1),
        (RuntimeError("no"), "failed", 2),
        (KeyError, "failed", 2),
        (Fail("never"), "failed", 1),
        (TaskFailed("table is gone", final=True), "failed", 1),
        (Skip("so"), "skipped", 1),
        ({1, 2}, "failed", 1),
        ("x" * 70_000, "failed", 1),
        (lambda _: {"rows": 1}, "success", 1),
        (after(5, lambda _: after(5, RuntimeError("late"))), "failed", 2),
    ],
)
def test_what_stands_in_ends_the_try(stand_in, state, tries):
    run = play(dag(query("t", retries=1)), {"t": stand_in})

    assert (run.states["t"], len(run.tasks["t"].tries)) == (state, tries)


def test_the_first_of_child_task_operator_and_all_counts():
    tasks = [
        query("each", expand={"over": [1, 2]}),
        query("named"),
        query("other"),
        {"task_id": "sensor", **SENSOR},
    ]
    run = play(dag(*tasks), {"each.1": 1, "each": 2, "named": 3, "bigquery.query": 4, "*": 5})

    assert {name: task.result for name, task in run.tasks.items()} == {
        "each": [2, 1],
        "each.0": 2,
        "each.1": 1,
        "named": 3,
        "other": 4,
        "sensor": 5,
    }


@pytest.mark.parametrize(
    ("stand_ins", "message"),
    [
        ({"t": None}, r"nothing stands in for u \(bigquery\.query\), w \(bigquery\.wait_table\): "),
        ({"*": None, "ut": None, "t.1": 1}, "^ut, t.1 is neither a task nor an operator of DAG d"),
    ],
)
def test_a_stand_in_too_many_or_too_few_is_told_before_anything_runs(stand_ins, message):
    tasks = [query("t"), query("u"), {"task_id": "w", **SENSOR}]
    with pytest.raises(PydagError, match=message):
        play(dag(*tasks), stand_ins)


def test_params_are_those_that_a_run_may_have():
    templated = {**query("t"), "params": {"sql": "{{ params.sql }}"}}
    with pytest.raises(PydagError, match="DAG d has no param sqll"):
        play(dag(templated), {"*": None}, params={"sqll": 1})
    run = play(dag(templated), {"*": None}, params={"sql": 3})
    assert "params of bigquery.query: sql: must be a text" in run.tasks["t"].error
    with pytest.raises(PydagError, match="logical date 'soon'"):
        play(dag(query("t")), {"*": None}, logical_date="soon")
    with pytest.raises(InvalidDag, match=r"params\.days is not there"):
        play(dag(query("t", expand={"over": "params.days"})), {"*": None})


def test_a_large_param_and_results_come_as_json_has_them():
    lists = {
        "task_id": "t",
        **QUERY,
        "params": {"sql": "SELECT 1", "parameters": {"a": "{{ params.big }}"}},
    }
    below = query("u", "t") | {"params": {"sql": "SELECT {{ tasks.t.result }}"}}
    run = play(dag(lists, below), {"t": (1, None), "u": None}, params={"big": ["x" * 2000]})

    assert run.tasks["t"].params["parameters"] == {"a": ["x" * 2000]}
    assert run.tasks["u"].params["sql"] == "SELECT [1, null]"


def test_a_module_that_is_not_there_ends_the_test():
    elsewhere = call("t", "waits") | {"params": {"callable": "no_such_module:f"}}
    with pytest.raises(PydagError, match=r"'no_such_module:f' can't be imported here .*sys\.path"):
        play(dag(elsewhere))


def test_an_assertion_of_a_stand_in_ends_the_test():
    def wrong(_):
        raise AssertionError("here")

    with pytest.raises(AssertionError, match="here"):
        play(dag(query("t")), {"t": wrong})


def test_retries_wait_without_waiting():
    delays = {"retries": 3, "retry_delay": 60, "retry_backoff": True, "max_retry_delay": 200}
    run = play(dag(query("t", **delays)), {"t": RuntimeError()})

    assert [one.began for one in run.tasks["t"].tries] == [0, 60, 180, 380]
    assert run.seconds == 380


def test_processors_hold_tasks_back_but_sensors_don_t_count():
    tasks = [{"task_id": "w", **SENSOR}, *(query(f"t{i}") for i in range(4))]
    run = play(dag(*tasks, processors=2), {"bigquery.query": after(10), "w": after(5)})

    assert run.seconds == 20
    assert run.tasks["w"].tries[0].ended == 5


@pytest.mark.parametrize("kind", [QUERY, SENSOR, call("t", "mistaken")])
def test_a_timeout_stops_a_try_and_the_next_one_begins(kind):
    task = {**kind, "task_id": "t", "timeout": 30, "retries": 1, "retry_delay": 10}
    run = play(dag(task), {"t": lambda call: after(50 if call.try_number == 1 else 5, "late")})

    assert [(one.began, one.ended, one.error) for one in run.tasks["t"].tries] == [
        (0, 30, "timeout"),
        (40, 45, ""),
    ]
    assert run.tasks["t"].result == "late"


def test_a_run_s_timeout_stops_all_but_its_teardowns():
    tasks = [
        query("setup"),
        query("remote", "setup"),
        call("local", "mistaken", dependencies=["setup"]),
        {"task_id": "sensor", **SENSOR, "dependencies": ["setup"]},
        query("never", "remote"),
        query("down", "remote", "local", "sensor", teardown_of="setup"),
    ]
    long = dict.fromkeys(("remote", "local", "sensor"), after(100))
    run = play(dag(*tasks, timeout=60), {"setup": 1, "down": after(7), "never": None, **long})

    assert (run.state, run.reason, run.seconds) == ("failed", "timeout", 67)
    assert run.states == {
        "setup": "success",
        "remote": "cancelled",
        "local": "cancelled",
        "sensor": "cancelled",
        "never": "cancelled",
        "down": "success",
    }
    assert {run.tasks[name].tries[0].ended for name in long} == {60}


def test_a_child_run_is_cancelled_with_the_task_that_waits_for_it():
    child = Dag.parse({"dag_id": "child", "tasks": [query("slow")]})
    task = run_dag("run", "child", timeout=60, retries=1, retry_delay=1)
    run = play(
        dag(task),
        {"child/slow": after(100)},
        dags=[child],
    )

    assert run.states == {"run": "failed"}
    assert run.seconds == 121
    assert run.tasks["run"].run.state == "cancelled"
    assert run.tasks["run"].run.tasks["slow"].error == "cancel"


def test_runs_can_t_start_themselves_or_what_is_not_there():
    first = Dag.parse({"dag_id": "a", "tasks": [run_dag("b", "b", retries=1)]})
    second = Dag.parse({"dag_id": "b", "tasks": [run_dag("a", "a")]})
    run = play(first, dags=[second])

    within = run.tasks["b"].run.tasks
    assert "a DAG can't run within itself: a > b > a" in within["a"].error
    assert len(run.tasks["b"].tries) == 2
    with pytest.raises(PydagError, match="task b starts a run of DAG b: give that one in `dags`"):
        play(first)


def test_what_failed_is_in_the_text_of_a_run():
    run = play(dag(query("t"), query("u", "t")), {"t": RuntimeError("no rows"), "u": None})

    assert (
        repr(run)
        == "<run of d: failed after 0 s: t failed (RuntimeError: no rows), u upstream_failed>"
    )


def test_what_is_no_dag_and_no_time_is_refused():
    with pytest.raises(PydagError, match="a DAG must be a Dag, not a str"):
        play("nightly.json")
    with pytest.raises(PydagError, match="a DAG must be a Dag, not a str"):
        play(dag(query("t")), {"*": None}, dags=["orders.json"])
    for seconds in (-1, float("nan"), "5"):
        with pytest.raises(PydagError, match=r"after\(\) takes a number of seconds from 0"):
            after(seconds)


def fan_out(count):
    return dag(*(query(f"t{number}") for number in range(count)))


def chain(count):
    above = [[], *([f"t{number}"] for number in range(count))]
    return dag(*(query(f"t{number}", *above[number]) for number in range(count)))


def expanded(count):
    over = {"over": list(range(count))}
    return dag(query("t", expand=over, params={"sql": "SELECT {{ item }}"}))


@pytest.mark.parametrize("made", [fan_out, chain, expanded])
def test_a_task_takes_no_longer_in_a_big_dag(made):
    def calls(count):
        """How many functions are called to play it."""
        profile = cProfile.Profile()
        assert profile.runcall(play, made(count), {"*": None}).state == "success"
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(400) < 5 * calls(100)
