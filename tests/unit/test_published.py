"""Published DAGs for clients and on the command line, on a Redis in memory."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pydag_dist import Client, Dag
from pydag_dist.cli import pydag
from pydag_dist.engine.publications import publish
from pydag_dist.errors import EngineError, PydagError
from pydag_dist.history import History, batch_of

CALL = {"task_id": "a", "operator": "python.call", "params": {"callable": "etl:step"}}


def nightly(**fields):
    return {"dag_id": "nightly", "schedule_interval": "@daily", "tasks": [CALL], **fields}


@pytest.fixture
def client(connection):
    connection.set("pydag:epoch", "e")
    return Client("redis://broker.example:6379/0")


@pytest.fixture
def write(tmp_path):
    def write(name, dag):
        file = tmp_path / name
        file.write_text(dag if isinstance(dag, str) else json.dumps(dag))
        return str(file)

    return write


def call(*arguments):
    return CliRunner().invoke(pydag, arguments)


def test_a_dag_is_published_and_what_has_not_changed_keeps_its_version(client):
    (first,) = client.publish(Dag.parse(nightly()))
    assert (first.dag_id, first.version, first.is_new) == ("nightly", 1, True)
    (same,) = client.publish(Dag.parse(nightly()))
    assert (same.version, same.is_new, same.due) == (1, False, first.due)
    (second,) = client.publish(Dag.parse(nightly(owner="ana")))
    assert (second.version, second.is_new) == (2, True)
    (dag,) = client.dags()
    assert (dag.dag_id, dag.version, dag.due) == ("nightly", 2, first.due)


def test_a_run_is_started_by_hand_with_the_newest_version(client, installation):
    client.publish(Dag.parse(nightly(params={"n": 1})))
    client.pause("nightly")
    run = client.start("nightly", {"n": 2}, logical_date="2026-01-31")
    head = installation.engine.reading.run_head(run.id)
    assert json.loads(head["params"]) == {"n": 2}
    assert head["logical_date"] == "2026-01-31T00:00:00+00:00"
    assert (head["run_type"], head["version"]) == ("manual", "1")
    installation.work_off(run.id)
    (dag,) = client.dags()
    assert (dag.last_run, dag.last_state) == (run.id, "success")


def test_what_is_not_published_can_be_neither_started_nor_paused(client):
    for change in (client.start, client.pause, client.unpause, client.unpublish):
        with pytest.raises(EngineError, match="no DAG nightly is published: `pydag dags` lists"):
            change("nightly")


@pytest.mark.parametrize("command", ["run", "pause", "unpause", "unpublish", "dags", "schedule"])
def test_a_name_that_is_not_published_is_told_from_one_that_is_meant(client, command):
    client.publish(Dag.parse(nightly()))
    result = call(command, "nigthly")
    assert result.exit_code == 2
    assert 'no DAG nigthly is published (did you mean "nightly"?): `pydag dags`' in result.stderr
    result = call(command, "\x1b[31m x")
    assert result.exit_code == 2
    assert result.stderr.startswith('Error: DAG "\\u001b[31m x": must be 1 to 200 of')


def test_a_dag_whose_schedule_could_never_start_it_is_not_published(client, write):
    over = CALL | {"task_id": "b", "expand": {"over": "params.names"}}
    bad, good = write("b.json", nightly(dag_id="b", tasks=[over])), write("a.json", nightly())
    result = call("publish", good, bad)
    assert result.exit_code == 2
    assert 'task "b": expand.over: ' in result.stderr
    assert client.dags() == []
    by_hand = nightly(dag_id="b", tasks=[over], schedule_interval="")
    assert call("publish", write("b.json", by_hand)).exit_code == 0
    assert "expand.over: " in call("run", "b").stderr
    listed = nightly(dag_id="b", tasks=[over], params={"names": ["x"]})
    assert call("publish", write("b.json", listed)).exit_code == 0


def test_params_are_checked_before_a_run_is_started(client):
    client.publish(Dag.parse(nightly()))
    with pytest.raises(PydagError, match="params of the run"):
        client.start("nightly", {"n": float("nan")})


def test_publish_says_versions_and_what_has_changed(client, write):
    file = write("a.json", nightly())
    assert "nightly: version 1, due 20" in call("publish", file).stdout
    assert "nightly: version 1, as it was, due" in call("publish", file).stdout
    other = CALL | {"task_id": "b"}
    file = write("a.json", nightly(owner="ana", tasks=[CALL | {"retries": 3}, other]))
    lines = call("publish", file).stdout.splitlines()
    assert lines[0].startswith("nightly: version 2, due")
    assert lines[1:] == ['  owner: none -> "ana"', "  + task b", "  ~ task a: retries"]
    shown = call("dags", "nightly", "--versions").stdout
    assert [line.split()[:2] for line in shown.splitlines() if line[0] != " "] == [
        ["version", "2"],
        ["version", "1"],
    ]
    assert "+ task b" in shown


def test_one_problem_and_nothing_is_published(client, write):
    good, bad = write("a.json", nightly()), write("b.json", {"dag_id": "b", "tasks": []})
    again = write("c.json", nightly())
    result = call("publish", good, bad, again)
    assert result.exit_code == 2
    assert "b.json" in result.stderr
    assert f"DAG nightly is in {good}, too" in result.stderr
    assert client.dags() == []


def test_dags_lists_what_there_is(client, write):
    call("publish", write("a.json", nightly(owner="ana", timezone="Europe/Berlin")))
    call("publish", write("b.json", {"dag_id": "by-hand", "tasks": [CALL]}))
    assert call("pause", "nightly").stdout == "nightly: paused\n"
    assert call("pause", "nightly").stdout == "nightly: was paused already\n"
    lines = call("dags").stdout.splitlines()
    assert lines[0].split()[:4] == ["dag", "version", "owner", "schedule"]
    assert lines[1].split()[:3] == ["by-hand", "1", "none"]
    assert lines[2].split()[:6] == ["nightly", "1", "ana", "@daily", "Europe/Berlin", "paused"]
    told = json.loads(call("dags", "--json").stdout)
    assert [dag["dag_id"] for dag in told["dags"]] == ["by-hand", "nightly"]
    one = call("dags", "nightly").stdout
    assert "owner:       ana" in one
    assert "paused:" in one
    assert call("unpause", "nightly").stdout == "nightly: unpaused\n"
    assert "due" in json.loads(call("dags", "nightly", "--json").stdout)
    result = call("unpublish", "nightly", "nowhere", "by-hand")
    assert result.exit_code == 2
    assert result.stdout == "nightly: unpublished\nby-hand: unpublished\n"
    assert "no DAG nowhere is published" in result.stderr


def test_run_starts_a_published_dag(client, write):
    call("publish", write("a.json", nightly(params={"n": 1})))
    result = call("run", "nightly", "--param", "n=2", "--json")
    run_id = json.loads(result.stdout)["run_id"]
    assert client.by_id(run_id).state == "queued"
    result = call("run", "nightly", "--param", "m=2")
    assert result.exit_code == 2
    assert "DAG nightly has no param m" in result.stderr


def test_runs_are_found_by_their_logical_dates(client, write):
    call("publish", write("a.json", nightly()))
    ids = [
        json.loads(call("run", "nightly", "--logical-date", date, "--json").stdout)["run_id"]
        for date in ("2026-01-30", "2026-01-31T06:00")
    ]
    found = call("runs", "--logical-date", "2026-01-31").stdout
    assert ids[1] in found
    assert ids[0] not in found
    told = json.loads(call("runs", "--logical-date", "2026-01-30", "--json").stdout)["runs"]
    assert [(run["run_id"], run["run_type"], run["version"]) for run in told] == [
        (ids[0], "manual", 1)
    ]
    call("publish", write("b.json", nightly(timezone="Asia/Tokyo")))
    for date, dag, wanted in (
        ("2026-01-31T15:00", True, [ids[1]]),  # 06:00 in UTC
        ("2026-01-31T06:00:00Z", False, [ids[1]]),
        ("2026-01-31T06:00:01Z", False, []),
        ("2026-01-30", True, [ids[0]]),
        ("2026-01-29", True, []),
        ("2026-01-31T15:00", False, []),
    ):
        arguments = ["--logical-date", date, *(["--dag", "nightly"] * dag), "--json"]
        told = json.loads(call("runs", *arguments).stdout)["runs"]
        assert [run["run_id"] for run in told] == wanted, date
    wrong = call("runs", "--logical-date", "yesterday")
    assert (wrong.exit_code, wrong.stderr[:43]) == (
        2,
        "Error: --logical-date must be a day or a ti",
    )
    shown = call("status", ids[1]).stdout
    assert "for       2026-01-31T06:00:00+00:00, manual, version 1" in shown


def test_a_list_without_anything_says_what_was_looked_for(client, write):
    for command, told in (
        (["dags"], "No DAG is published: `pydag publish FILE` publishes one"),
        (["backfills"], "There is no backfill: `pydag backfill DAG --from D --to D` begins one"),
        (["backfills", "--dag", "x"], "There is no backfill of x: "),
        (["runs"], "There are no runs: `pydag submit FILE` starts one"),
        (
            ["runs", "--dag", "x", "--state", "failed", "--state", "success", "--param", "n=1"],
            "There is no run of --dag x, --state failed or success, --param n=1",
        ),
        (["runs", "--since", "2026-01-31", "--until", "2h"], "There is no run of --since "),
    ):
        result = call(*command)
        assert (result.exit_code, result.stdout) == (0, ""), result.stdout
        assert result.stderr.startswith(told), result.stderr
        assert json.loads(call(*command, "--json").stdout)


def test_runs_are_found_by_version_and_by_what_has_started_them(client, write, installation):
    call("publish", write("a.json", nightly()))
    first = client.start("nightly").id
    call("publish", write("a.json", nightly(owner="ana")))
    second = client.start("nightly").id
    call("submit", write("a.json", nightly()))

    def found(*options):
        told = json.loads(call("runs", "--dag", "nightly", *options, "--json").stdout)
        return {run["run_id"] for run in told["runs"]}

    assert len(found()) == 3
    assert (found("--version", "1"), found("--version", "2")) == ({first}, {second})
    assert found("--type", "manual", "--type", "backfill") == {first, second}
    assert found("--type", "scheduled") == set()


@pytest.fixture
def recorded(connection, monkeypatch, tmp_path):
    """The history of this Redis, and what writes there all that it tells."""
    url = f"sqlite:///{tmp_path / 'named.sqlite'}"
    monkeypatch.setenv("PYDAG_DATABASE_URL", url)
    with History(url) as history:
        history.open()
        history.set_epoch("e")
        yield lambda: history.write(batch_of(connection.xrange("pydag:history"), {}, {}))


def test_older_versions_come_from_the_history(client, recorded):
    for number in range(13):
        client.publish(Dag.parse(nightly(owner=f"owner {number}")))
    assert call("dags", "nightly", "--versions").stdout.count("\nversion ") == 9
    recorded()
    lines = call("dags", "nightly", "--versions").stdout.splitlines()
    assert [line.split()[1] for line in lines if line[0] != " "] == [
        str(number) for number in range(13, 0, -1)
    ]
    assert lines[-2] == '  owner: "owner 0" -> "owner 1"'
    told = json.loads(call("dags", "nightly", "--versions", "--json").stdout)["versions"]
    assert [version["number"] for version in told] == list(range(13, 0, -1))
    assert json.loads(told[-1]["text"])["owner"] == "owner 0"


def test_it_is_told_who_changed_a_dag_and_when(client, recorded, installation):
    dag = Dag.parse(nightly(owner="ana"))
    client.publish(dag)
    client.pause("nightly")
    publishing = installation.engine.publishing
    for source in ("sub/a.json", "sub/a.json", ""):
        by = "folder@host" if source else "bob@host"
        done = publish(publishing, dag, retention=1, by=by, source=source)
        assert not done.is_new
        assert client.dags()[0].source == source
    assert "changes:" not in call("dags", "nightly").stdout
    recorded()
    shown = call("dags", "nightly").stdout
    told = [line.split("  ", 2)[2] for line in shown.partition("changes:\n")[2].splitlines()]
    user = client.dags()[0].published_by
    assert told == [
        "published by hand by bob@host",
        "the same version published by folder@host from sub/a.json",
        f"paused by {user}",
        f"version 1 published by {user}",
    ]
    changes = json.loads(call("dags", "nightly", "--json").stdout)["changes"]
    assert [change["kind"] for change in changes] == ["moved", "moved", "paused", "published"]


def test_versions_of_which_dag_is_asked(client):
    result = call("dags", "--versions")
    assert result.exit_code == 2
    assert "--versions is about one DAG" in result.stderr
