"""By REST every call does, answers and refuses what it does by Redis."""

from __future__ import annotations

import inspect
import threading
from dataclasses import asdict

import pytest
from click.testing import CliRunner

from pydag_dist import Client, Dag
from pydag_dist.cli import pydag
from pydag_dist.client.backfills import Backfills
from pydag_dist.client.published import PublishedDags
from pydag_dist.client.rest.backfills import RestBackfills
from pydag_dist.client.rest.client import RestClient
from pydag_dist.client.rest.published import RestPublished
from pydag_dist.client.rest.run import RestRun
from pydag_dist.client.run import Run
from pydag_dist.engine import RunFilter
from pydag_dist.errors import PydagError, RunFailed, ServiceRefused
from pydag_dist.history import History, batch_of
from tests.support.service import served
from tests.support.web import Web


@pytest.fixture
def web(installation, tmp_path, monkeypatch):
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    return Web(mode="tokens", requests_per_second=1e6, prefix="/below")


@pytest.fixture
def address(web):
    with served(web) as found:
        yield found


@pytest.fixture
def far(web, address):
    return Client(address, token=web.site.tokens.add("ada", "editor", "test"))


@pytest.fixture
def near(installation):
    return Client()


def chain(dag_id="d", **fields):
    with Dag(dag_id, **fields) as dag:
        first = dag.task("a", "python.call", params={"callable": "m:f"})
        first >> dag.task("b", "python.call", params={"callable": "m:f"})
    return dag


def test_all_that_is_read_is_the_same(near, far, installation):
    run = far.submit(chain(tags=["t"]), {"x": "1"}, logical_date="2026-01-31", run_id="d-1")
    assert (run.is_new, type(run)) == (True, RestRun)
    installation.plan("d-1")
    held = installation.claim()
    installation.log(held, "one", "two")
    installation.end(held, result='{"bytes_billed": 7}')
    known = near.by_id("d-1")
    assert run.snapshot() == known.snapshot()
    assert run.snapshot().submitted_by == "ada"
    assert (run.state, run.tasks) == (known.state, known.tasks)
    assert run.logs() == run.logs("a") == known.logs()
    assert run.events() == known.events() != []
    assert run.events(run.events()[-1].id, timeout=0.1) == []
    assert run.why("b") == known.why("b")
    assert run.reasons()[1:] == known.reasons()[1:]  # the first one says how long it runs
    assert run.why().splitlines()[1:] == known.why().splitlines()[1:]
    assert abs(far.now() - near.now()) < 60
    assert far.runs() == near.runs()
    assert (far.workers(), far.coordinators()) == (near.workers(), near.coordinators())
    assert far.unserved(chain()) == near.unserved(chain())
    assert far.run("d@last").id == far.run("d-").id == "d-1"
    for wanted, number in (
        (RunFilter("d", ("running",), tags=["t"], params={"x": "1"}), 1),
        (RunFilter(params={"x": 2}), 0),
        (RunFilter(tags=["u"]), 0),
        (RunFilter(logical_date=("2026-01-31", "2026-01-31"), text="D-"), 1),
        (RunFilter(logical_date=("2026-02-01", "2026-02-02")), 0),
        (RunFilter(backfill="b"), 0),
        (RunFilter(since=1.0, until=2.0), 0),
    ):
        assert far.listing(5, wanted) == near.listing(5, wanted)
        assert len(far.runs(5, wanted)) == number


def test_lists_longer_than_a_page_are_whole(near, far, monkeypatch):
    for number in range(5):
        near.submit(chain(), run_id=f"d-{number}")
    monkeypatch.setattr("pydag_dist.client.rest.client.PAGE", 2)
    assert far.runs(4) == near.runs(4)
    assert far.runs(50) == near.runs(50)


def test_published_dags_and_backfills_are_the_same(near, far):
    daily = chain(schedule_interval="0 3 * * *", start_date="2026-01-01", timezone="Europe/Berlin")
    daily.owner = "ana"
    done = far.publish(daily)[0]
    assert (done.version, done.is_new, done.due) == (1, True, near.dags()[0].due)
    assert far.publish(daily) == near.publish(daily)
    assert far.publish(replace_task(daily))[0].version == 2
    assert far.dags() == near.dags()
    assert near.dags()[0].published_by == "ada"
    assert far.published.owners(far.dags()) == near.published.owners(near.dags()) == {"d": "ana"}
    assert far.published.dag("d") == near.published.dag("d")
    assert far.published.newest("d") == near.published.newest("d")
    assert far.published.versions("d") == near.published.versions("d")
    assert far.published.kept_versions("none") == []
    assert (far.pause("d"), far.pause("d"), far.unpause("d")) == (True, False, True)
    assert far.start("d", run_id="by-hand").is_new
    assert not far.start("d", run_id="by-hand").is_new
    begun = far.backfill("d", "2026-01-01", "2026-01-03", max_active=2)
    assert far.backfills() == near.backfills() == [begun]
    assert begun.created_by == "ada"
    assert far.all_backfills.span("d", "2026-01-01", "2026-01-03") == near.all_backfills.span(
        "d", "2026-01-01", "2026-01-03"
    )
    name = begun.backfill_id
    assert (far.pause_backfill(name[:12]), far.pause_backfill(name)) == (True, False)
    assert far.unpause_backfill(name)
    assert far.cancel_backfill(name) == "cancelled"
    far.unpublish("d")
    assert far.dags() == []


def replace_task(dag):
    content = dag.to_dict()
    content["tasks"][0]["params"]["callable"] = "m:g"
    return Dag.parse(content)


def test_a_run_is_cancelled_marked_and_goes_on(near, far, installation):
    run = far.submit(chain())
    installation.plan(run.id)
    assert run.cancel() == "cancelled"
    assert run.cancel() == "cancelled"
    assert asdict(run.resumption("a")) == asdict(near.by_id(run.id).resumption("a"))
    with pytest.raises(RunFailed, match="was cancelled"):
        run.wait(timeout=20)
    run.mark("a", "success", {"rows": 1})
    assert run.tasks["a"].result == {"rows": 1}
    run.resume(dag=replace_task(chain()))
    assert run.state == "queued"


REFUSED = {
    "no run": lambda client: client.by_id("none").snapshot(),
    "no run's logs": lambda client: client.by_id("none").logs(),
    "no id": lambda client: client.by_id("../me").state,
    "no name": lambda client: client.run("a b"),
    "no run of a DAG": lambda client: client.run("e@last"),
    "ambiguous": lambda client: client.run("r").state,
    "other params": lambda client: client.submit(chain(), {"x": 2}, run_id="r-1"),
    "another DAG": lambda client: client.submit(chain("e"), run_id="r-1"),
    "not ended": lambda client: client.by_id("r-1").resume(),
    "not ended, dry": lambda client: client.by_id("r-1").resumption(),
    "no task": lambda client: client.by_id("r-1").why("zzz"),
    "no task's log": lambda client: client.by_id("r-1").logs("zzz"),
    "no mark": lambda client: client.by_id("r-1").mark("zzz", "success"),
    "result too long": lambda client: client.by_id("r-1").mark("a", "success", "x" * 70_000),
    "not published": lambda client: client.published.dag("dd"),
    "not published, start": lambda client: client.start("dd"),
    "not published, pause": lambda client: client.pause("dd"),
    "not published, backfill": lambda client: client.backfill("dd", "2026-01-01", "2026-01-02"),
    "no schedule": lambda client: client.backfill("p", "2026-01-01", "2026-01-02"),
    "no day": lambda client: client.backfill("daily", "x", "2026-01-02"),
    "no backfill": lambda client: client.pause_backfill("none"),
    "no date": lambda client: client.submit(chain(), logical_date="tomorrow"),
}


def test_what_is_refused_is_told_in_the_same_words(near, far):
    near.submit(chain(), run_id="r-1")
    near.submit(chain(), run_id="r-2")
    near.publish(chain("p"), chain("daily", schedule_interval="@daily", start_date="2026-01-01"))
    assert [
        what for what, call in REFUSED.items() if refusal(call, near) != refusal(call, far)
    ] == []


def refusal(call, client):
    with pytest.raises(PydagError) as error:
        call(client)
    return type(error.value), str(error.value)


def test_a_run_is_followed_to_its_end(far, installation):
    run = far.submit(chain())
    installation.plan(run.id)

    def work():
        for _ in range(2):
            held = installation.claim()
            installation.log(held, *(f"{held.task} {n}" for n in range(3)))
            installation.end(held)

    follower = run.follow_logs()
    follower_of_a = run.follow_logs("a")
    snapshots = run.follow(timeout=30)
    assert next(snapshots).state == "running"
    thread = threading.Thread(target=work)
    thread.start()
    assert [line.line for line in follower_of_a] == ["a 0", "a 1", "a 2"]
    written = [f"{task} {number}" for task in "ab" for number in range(3)]
    assert sorted(line.line for line in follower) == written
    assert [*snapshots][-1].state == "success"
    assert run.wait(timeout=30) == "success"
    thread.join()


def test_long_logs_are_followed_whole_and_once(far, installation, monkeypatch):
    monkeypatch.setattr("pydag_dist.web.live.run_topic.LOG_LINES", 3)
    run = far.submit(chain())
    installation.plan(run.id)
    held = installation.claim()
    installation.log(held, *(f"line {n}" for n in range(8)))
    follower = run.follow_logs("a")
    first = [next(follower).line for _ in range(8)]
    installation.log(held, "one more", at=2000.0)
    installation.end(held)
    rest = [line.line for line in follower]
    assert first + rest == [*(f"line {n}" for n in range(8)), "one more"]


def test_what_the_role_does_not_allow_is_refused(web, address):
    viewer = Client(address, token=web.site.tokens.add("v", "viewer", "test"))
    with pytest.raises(ServiceRefused, match="v is viewer, and this needs the role operator"):
        viewer.submit(chain())
    for token in ("x", None):
        with pytest.raises(ServiceRefused, match="set PYDAG_TOKEN"):
            Client(address, token=token).runs()


def public(kind):
    return {
        name
        for name, member in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
    }


def test_every_call_is_there_by_rest():
    """What is not said anew stands on calls that are."""
    shared = {
        Run: {"state", "tasks", "follow", "wait", "cancel", "resume"},
        PublishedDags: set(),
        Backfills: {"named"},
        Client: {
            *("submit", "publish", "dags", "start", "pause", "unpause", "unpublish", "backfill"),
            *("backfills", "pause_backfill", "unpause_backfill", "cancel_backfill", "run", "by_id"),
            *("unserved", "runs"),
        },
    }
    over_rest = {Run: RestRun, PublishedDags: RestPublished, Backfills: RestBackfills}
    over_rest[Client] = RestClient
    for kind, other in over_rest.items():
        assert public(kind) - public(other) == shared[kind]


def test_a_dry_run_of_a_backfill_says_which_due_times_have_runs(
    near, installation, tmp_path, monkeypatch
):
    url = f"sqlite:///{tmp_path}/history.sqlite"
    monkeypatch.setenv("PYDAG_HOME", str(tmp_path))
    near.publish(chain(schedule_interval="0 3 * * *"))
    near.start("d", run_id="by-hand", logical_date="2026-01-02T03:00").cancel()
    days = ["--from", "2026-01-01", "--to", "2026-01-03", "--dry-run"]
    with History(url) as history, monkeypatch.context() as patched:
        history.open()
        history.set_epoch("e")
        entries = installation.connection.xrange("pydag:history")
        head = installation.engine.reading.run_head("by-hand")
        dag = installation.engine.reading.submitted_dag("by-hand")
        history.write(batch_of(entries, {"by-hand": head}, {"by-hand": dag}))
        for epoch, line in (("e", "2026-01-02T03:00:00+00:00  left out: cancelled"), ("f", None)):
            installation.connection.set("pydag:epoch", epoch)
            patched.setenv("PYDAG_DATABASE_URL", url)
            web = Web(mode="tokens", requests_per_second=1e6)
            patched.delenv("PYDAG_DATABASE_URL")
            with served(web) as address:
                patched.setenv("PYDAG_URL", address)
                patched.setenv("PYDAG_TOKEN", web.site.tokens.add(f"ada-{epoch}", "viewer", "test"))
                told = CliRunner().invoke(pydag, ["backfill", "d", *days])
            assert len(told.stdout.splitlines()) == 3
            assert bool(line) is (line in told.stdout.splitlines())
            assert bool(line) is ("only the history knows" not in told.stderr)
