"""The client: submits DAGs to an installation through its Redis, and finds runs there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydag_dist.client.arguments import check_dag, check_limit, params_of, utc
from pydag_dist.client.naming import Runs, find_run
from pydag_dist.client.retrying import BLOCK_SECONDS, RETRY_SECONDS, Retries
from pydag_dist.client.submitter import user_at_host
from pydag_dist.dag.ids import check_id, is_id
from pydag_dist.engine import Engine, RunFilter, connect
from pydag_dist.errors import PydagError, SubmittedOtherwise, UnknownRun
from pydag_dist.settings import load_settings

if TYPE_CHECKING:
    from pydag_dist.client.backfills import Backfills
    from pydag_dist.client.published import PublishedDags
    from pydag_dist.client.run import Run
    from pydag_dist.dag import Dag
    from pydag_dist.engine import Listing, LostTask, Member, RunSnapshot, RunSummary, Unserved
    from pydag_dist.engine.backfills.backfill import Backfill
    from pydag_dist.engine.protocol import Again
    from pydag_dist.engine.publications import Publication
    from pydag_dist.engine.published import PublishedDag


class Client:
    """Submits DAGs and follows runs; needs Redis only, and no Google package.

    `url` is the installation's Redis (default: the setting `PYDAG_REDIS_URL`), `prefix` what its
    keys begin with (default: `PYDAG_KEY_PREFIX`). No connection is made before the first call;
    a call raises `RedisAway` when no Redis is there. One that was there and is away is waited for,
    `retry_seconds` each time: a warning says so, and `RedisAway` that it was in vain.
    `RedisRefused` if Redis doesn't take the URL's user.

    Where Redis is not reachable, `url` is the address of `pydag web`, such as https://pydag.example
    (default: `PYDAG_URL`, if that is set), and `token` one that `pydag tokens --add NAME` has
    printed (default, for `PYDAG_URL` only: `PYDAG_TOKEN`, or what is in `PYDAG_TOKEN_FILE`).
    `ca_file` are the certificates that are trusted (default: `PYDAG_CA_FILE`, or those of this
    host). All calls are the same; `ServiceAway` is a `RedisAway`, `ServiceRefused` a
    `RedisRefused`.
    """

    knows_history = False
    """Whether lists and names have the runs of the history, too."""

    def __new__(cls, url: str | None = None, **_: Any) -> Self:
        """One that goes by REST if that is an address of `pydag web`, or PYDAG_URL is set."""
        is_rest = url.lower().startswith(("https://", "http://")) if url else load_settings().url
        if cls is Client and is_rest:
            rest = import_module("pydag_dist.client.rest.client")  # which is one of these
            return super().__new__(rest.RestClient)  # type: ignore[no-any-return]
        return super().__new__(cls)

    def __init__(
        self,
        url: str | None = None,
        *,
        prefix: str | None = None,
        token: str | None = None,
        ca_file: Path | None = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        if token or ca_file:
            raise PydagError("a token, and ca_file, are for an address that begins with https://")
        settings = load_settings()
        self._prefix = prefix or settings.key_prefix
        self._retention = settings.retention
        self._connection = connect(url or settings.redis_url, blocks=BLOCK_SECONDS)
        self.engine = Engine(self._connection, prefix=self._prefix)
        """What it stands on, for those who read more than a client does."""
        self._retries = Retries(self._connection, retry_seconds)

    # Each part of a client is imported at its first use: most commands need one.

    @cached_property
    def published(self) -> PublishedDags:
        """The published DAGs."""
        from pydag_dist.client.published import PublishedDags

        return PublishedDags(self.engine.publishing, self._retries, self._retention)

    @cached_property
    def all_backfills(self) -> Backfills:
        """The backfills of all DAGs."""
        from pydag_dist.client.backfills import Backfills

        return Backfills(self.engine, self._retries)

    @cached_property
    def files(self) -> Any:
        """The DAG files that `pydag web` shows, see `client.rest.files`: by REST only."""
        raise PydagError(
            "DAG files are read and saved by `pydag web`: set PYDAG_URL to its address"
        )

    def submit(
        self,
        dag: Dag,
        params: Mapping[str, Any] | None = None,
        *,
        logical_date: date | str | None = None,
        run_id: str | None = None,
        from_task: str = "",
    ) -> Run:
        """Start a run of `dag`, with `params` over the DAG's own ones.

        With `from_task` it begins there: that task and all downstream of it run, and all others
        count as succeeded. If a result of one of these is named, it is that of the newest run in
        which the task succeeded; `PydagError` names what is missing.

        The `logical_date` is the time that the run is for, a datetime, a date or ISO 8601 (without
        an offset: in the DAG's time zone); by default the time of the submission. Raises
        `PydagError` for params that JSON can't say or that are too long, or that lack a list which
        a task expands over, and for what is no date or no id.

        The run's id is made here, so sending it again after a lost answer is safe: give the
        `run_id` of a run to be sure that it was submitted, once: `is_new` of the run tells whether
        it was now, and `SubmittedOtherwise` that another DAG, or with other params, has that id.
        """
        given, date = params_of(dag, params), utc(logical_date, dag.zone)
        run_id = check_id("run id", new_run_id(dag.dag_id) if run_id is None else run_id)
        send = self._submission(run_id, dag, given, date, from_task)
        is_new = send()
        if not is_new:
            self._check_same(run_id, dag, given, date, from_task)
        return self._run(run_id, send, is_new=is_new)

    def _submission(
        self, run_id: str, dag: Dag, given: dict[str, Any], date: str, from_task: str
    ) -> Callable[[], bool]:
        """What submits that run, and says whether it is new."""
        text, by = dag.to_json(), user_at_host()
        taken: list[LostTask] = []
        if from_task:
            from pydag_dist.client.resuming import taken_over

            taken = taken_over(dag, from_task, lambda: self._newest(dag.dag_id))
        steering = self._retries.of(
            self.engine.steering,
            f"Whether run {run_id} was submitted is not known: `pydag status {run_id}` tells, as "
            "soon as Redis is there",
        )
        return lambda: steering.submit(
            run_id,
            text,
            dag.dag_id,
            given,
            processors=dag.processors,
            weight=dag.weight,
            timeout=dag.timeout or 0,
            retention=self._retention,
            logical_date=date,
            hooks=bool(dag.on_success or dag.on_failure),
            expected_within=dag.expected_within or 0,
            tags=dag.tags,
            submitted_by=by,
            from_task=from_task,
            taken=taken,
        )

    def _newest(self, dag_id: str) -> Iterator[RunSnapshot]:
        """The newest runs of a DAG that Redis has, the newest first."""
        from pydag_dist.client.resuming import RUNS

        for run in self.runs(RUNS, RunFilter(dag_id)):
            with suppress(UnknownRun):
                yield self._retries.of(self.engine.reading, "").snapshot(run.run_id)

    def _run(
        self, run_id: str, resubmit: Callable[[], bool] | None = None, *, is_new: bool = False
    ) -> Run:
        from pydag_dist.client.run import Run

        return Run(run_id, self.engine, self._retries, resubmit, is_new=is_new)

    def publish(self, *dags: Dag) -> list[Publication]:
        """Make each DAG the newest version of its id; what has not changed keeps its version.

        From now on its schedule starts it, and `start` and people know it by its id. Its version,
        and whether that is a new one.
        """
        for dag in dags:
            check_dag(dag)
        return [self.published.publish(dag) for dag in dags]

    def dags(self) -> list[PublishedDag]:
        """The published DAGs: version, when each is due, its last run, whether it is paused."""
        return self.published.all()

    def start(
        self,
        dag_id: str,
        params: Mapping[str, Any] | None = None,
        *,
        logical_date: date | str | None = None,
        run_id: str | None = None,
    ) -> Run:
        """Start a run of the newest version of a published DAG, whatever its schedule says.

        Params, date and id are as of `submit`. `EngineError` if the DAG is not published.
        """
        dag = self.published.newest(dag_id)
        given, date, by = params_of(dag, params), utc(logical_date, dag.zone), user_at_host()
        run_id = check_id("run id", new_run_id(dag_id) if run_id is None else run_id)

        def send() -> bool:
            return self.published.start(dag_id, run_id, given, date, by)

        is_new = send()
        if not is_new:
            self._check_same(run_id, dag_id, given, date)
        return self._run(run_id, send, is_new=is_new)

    def _check_same(
        self, run_id: str, of: Dag | str, params: Mapping[str, Any], date: str, from_task: str = ""
    ) -> None:
        """`SubmittedOtherwise` if the run that is there was submitted with something else.

        `of`: its DAG, or the id of a published one.
        """
        from pydag_dist.engine.roles.steering import dag_hash

        dag_id, text = (of, "") if isinstance(of, str) else (of.dag_id, of.to_json())
        head = self._retries.of(self.engine.reading, "").run_head(run_id)
        differing = [
            name
            for name, differs in (
                ("dag_id", head.get("dag_id") != dag_id),
                # A resume may have given it another DAG since.
                ("dag", bool(text) and "rounds" not in head and head["dag_hash"] != dag_hash(text)),
                ("from_task", "rounds" not in head and (head.get("from") or "") != from_task),
                ("params", json.loads(head.get("params") or "{}") != params),
                ("logical_date", (head.get("logical_date") or "") != date),
            )
            if differs
        ]
        if differing:
            raise SubmittedOtherwise(
                f"run {run_id} is there already, and was submitted with another "
                f"{', '.join(differing)}: give this one another id"
            )

    def pause(self, dag_id: str) -> bool:
        """Let the schedule of a published DAG start nothing; False if it is paused already."""
        return self.published.pause(dag_id)

    def unpause(self, dag_id: str) -> bool:
        """Let it go on; False if it is not paused. With `catchup` it makes up for the pause."""
        return self.published.unpause(dag_id)

    def unpublish(self, dag_id: str) -> None:
        """Take a DAG's name back: it is never due again, and its runs go on."""
        self.published.unpublish(dag_id)

    def backfill(
        self,
        dag_id: str,
        first: date | str,
        last: date | str,
        *,
        max_active: int = 1,
        newest_first: bool = False,
        again: Again = "none",
        weight: float = 0.5,
    ) -> Backfill:
        """Begin to run a published DAG for each of its due times from `first` to `last`.

        Both are days or times, ISO 8601, without an offset in the DAG's zone. `max_active` runs go
        on at once; `again` says which due times that have a run get another one: none, those whose
        runs ``failed`` or were cancelled, or ``all``. `weight` is the part of the DAG's weight that
        each run has. `EngineError` if the DAG is not published, is not due then, or too often.
        """
        begun, _ = self.all_backfills.begin(
            dag_id,
            first,
            last,
            max_active=max_active,
            newest_first=newest_first,
            again=again,
            weight=weight,
        )
        return self.all_backfills.get(begun)

    def backfills(self) -> list[Backfill]:
        """The backfills, the newest first; ended ones for the retention of their DAG's runs."""
        return self.all_backfills.all()

    def pause_backfill(self, name: str) -> bool:
        """Let a backfill, named by its id or the beginning of it, make no more runs for now.

        False if it is paused already; `EngineError` if it has ended.
        """
        return self.all_backfills.pause(name)

    def unpause_backfill(self, name: str) -> bool:
        """Let it go on, by the schedule that its DAG has now; False if it is not paused."""
        return self.all_backfills.unpause(name)

    def cancel_backfill(self, name: str) -> str:
        """Let it make no more runs, and cancel those that go on; its state."""
        return self.all_backfills.cancel(name)

    def run(self, name: str) -> Run:
        """The run of that name: its id, the beginning of it, ``DAG@last``, ``DAG@2026-01-31``.

        The last is the DAG's last run that was submitted on that day, by the clock and the zone of
        this host. `AmbiguousRun` lists those whose ids begin so. Whether there is a run of that id
        shows at its first use; `UnknownRun` if a DAG has none.
        """
        try:
            run_id = find_run(name, [self._names])
        except UnknownRun:
            if not is_id(name):
                raise
            run_id = name
        return self.by_id(run_id)

    def by_id(self, run_id: str) -> Run:
        """The run of exactly that id; whether there is one shows at its first use."""
        return self._run(run_id)

    @property
    def _names(self) -> Runs:
        return self._retries.of(self.engine.runs, "")

    def now(self) -> float:
        """The time by Redis's clock, which all times of runs are by, in epoch seconds."""
        seconds, micro = self._retries.call(self._connection.time, "")
        return float(seconds + micro / 1e6)

    def workers(self) -> list[Member]:
        """The live workers by name, with what they say they can do."""
        return list(self.engine.reading.members("workers").values())

    def coordinators(self) -> list[Member]:
        """The live coordinators by name; `info` says which one writes the history."""
        return list(self.engine.reading.members("coordinators").values())

    def running(self) -> dict[str, list[str]]:
        """Worker -> the tasks that it holds, as "run/task"."""
        return self.engine.reading.held_by_worker()

    def unserved(self, dag: Dag) -> list[Unserved]:
        """The tasks of a DAG that no live worker can run, as far as they say, and why."""
        from pydag_dist.engine.members import unserved

        return unserved(dag, self.workers())

    def runs(self, limit: int = 50, wanted: RunFilter | None = None) -> list[RunSummary]:
        """The newest runs first: id, DAG, state, times and the number of tasks in each state.

        Of those in Redis that are `wanted`, by default all.
        """
        check_limit(limit)
        return self.listing(limit, wanted or RunFilter()).runs

    def listing(self, limit: int, wanted: RunFilter) -> Listing:
        """The newest runs that are wanted, and how far back was looked: at 20,000 runs at most."""
        return self._retries.of(self.engine.runs, "").listing(limit, wanted)


def new_run_id(dag_id: str) -> str:
    """A run's id: readable, sortable by time, and never made twice by two installations."""
    now = datetime.now(UTC).strftime("%Y%m%dt%H%M%S")
    return f"{dag_id[:80]}-{now}-{os.urandom(8).hex()}"
