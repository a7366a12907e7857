"""The installation that faults are committed on, and what can be seen of it at any time."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pydag_dist import Client
from pydag_dist.client.client import new_run_id
from pydag_dist.engine import ENDED_RUN_STATES, ENDED_TASK_STATES, Engine, is_transient
from pydag_dist.engine.protocol import unpack_record
from pydag_dist.engine.snapshot import RunSnapshot
from pydag_dist.errors import RedisAway, UnknownRun
from pydag_dist.history import History
from tests.acceptance.chaos import work
from tests.acceptance.chaos.dags import DATASET, RandomDag
from tests.acceptance.chaos.links import Link
from tests.acceptance.chaos.schedules import Filled, Missed, Started, Timed
from tests.faults.faulty_server import FaultyServer
from tests.support import is_alive
from tests.support.cluster import Cluster, Part
from tests.support.local_bigquery import PROJECT, LocalBigQuery

WORKERS = ("w1", "w2", "w3")
SLOTS = 3
QUEUES = ("python", "bigquery")
SLOW_QUERIES = {"-t[0-9]*[37]-": 4, "-t[0-9]*[19]-": 15}  # in job ids -> seconds
OLD_MESSAGES = 100
START_SECONDS = 60
RESTORE_SECONDS = 10


@dataclass(frozen=True)
class Try:
    """A try of a task, as somebody held it or as it waited for that."""

    run: str
    task: str
    number: int
    token: str
    worker: str = ""
    process: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """What it is a try of, whoever held it."""
        return self.run, self.task, self.number


@dataclass
class Submitted:
    """A run of a random DAG, and what Redis last said of it."""

    run_id: str
    dag: RandomDag
    at: float
    state: str | None = None
    ended_at: float | None = None  # since when it is known to have ended; None again if it goes on
    unknown_since: float | None = None  # since when Redis has not had it


class System:
    """Redis with its file, the local BigQuery, coordinators and workers; looked at by one thread.

    Nothing here waits for Redis: what can't be known just now is None.
    """

    def __init__(self, directory: Path, coordinators: int) -> None:
        self.directory = directory
        self._coordinators = coordinators
        self.server = FaultyServer(directory / "redis")
        self.bigquery = LocalBigQuery(directory)
        self.cluster: Cluster
        self.workers: list[Part] = []
        self.coordinators: list[Part] = []
        self.to_start: list[tuple[float, str]] = []  # from when on, the part's name
        self.out_of_hand: set[str] = set()  # parts that a fault has in hand
        self.links: list[Link] = []
        self.redis_is_up = False  # and takes writes
        self.redis_is_there = False
        self.redis_in_hand = False
        self.redis_changes: list[float] = []  # when it went or came
        self.runs: dict[str, Submitted] = {}
        self.timed: dict[str, Timed] = {}  # the published DAGs
        self.filled: dict[str, Filled] = {}  # those with a backfill
        self.journal = directory / "work.jsonl"
        self.home = directory / "home"
        self.history = History(f"sqlite:///{self.home / 'history.sqlite'}")
        self.surprises: list[str] = []
        self.killed: list[Try] = []  # whose process a fault killed
        self.old_messages: list[tuple[str, str]] = []  # queue, message
        self.queues_are_empty = True
        self._link_of: dict[Part, Link] = {}
        self._names = 0

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        with self._stack:
            self.home.mkdir()
            self._stack.callback(self.history.close)
            self._stack.enter_context(self.server)
            self._stack.enter_context(self.bigquery)
            self._prepare_bigquery()
            self.cluster = self._stack.enter_context(Cluster(self.server.url, self.directory))
            # Whoever waits for Redis can't start it.
            self._client = Client(self.server.url, prefix=self.cluster.prefix, retry_seconds=0)
            self.store: Any = redis.Redis.from_url(
                self.server.url, decode_responses=True, retry=Retry(NoBackoff(), 1)
            )
            self._stack.callback(self.store.close)
            self.engine = Engine(self.store, self.cluster.prefix)
            self.redis_is_up = self.redis_is_there = True
            for _ in range(self._coordinators + len(WORKERS)):
                self.links.append(self._stack.enter_context(Link(self.server.port)))
            for _ in range(self._coordinators):
                self.start("coordinator")
            for name in WORKERS:
                self.start(name)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.redis_is_there:
            self.start_redis()
        self._stack.close()

    def _prepare_bigquery(self) -> None:
        client = self.bigquery.client()
        client.create_dataset(DATASET)
        client.query(f"CREATE TABLE {DATASET}.effects (run STRING, task STRING)").result()
        for job_id, seconds in SLOW_QUERIES.items():
            self.bigquery.fault(method="run", job_id=job_id, delay=seconds, count=None)

    # Parts

    def start(self, name: str) -> None:
        """Start a coordinator, or a worker of that name."""
        if name == "coordinator":
            command = ["-m", "pydag_dist", "coordinator"]
            link = self._free_link()
            part = self.cluster.start(
                name, command, PYDAG_HOME=str(self.home), PYDAG_REDIS_URL=link.url
            )
            self._link_of[part] = link
            self.coordinators.append(part)
            return
        command = ["-m", "pydag_dist", "worker", "-n", f"{name}@chaos", "-c", str(SLOTS)]
        command += ["-Q", ",".join(QUEUES), "--import", work.__name__, "--log-level", "WARNING"]
        google = {"BIGQUERY_EMULATOR_HOST": self.bigquery.url, "PYDAG_WORKER_PROJECT": PROJECT}
        link = self._free_link()
        part = self.cluster.start(name, command, PYDAG_REDIS_URL=link.url, **google)
        self._link_of[part] = link
        self.workers.append(part)

    def _free_link(self) -> Link:
        used = {self.link_of(part) for part in [*self.coordinators, *self.workers]}
        return next(link for link in self.links if link not in used)

    def link_of(self, part: Part) -> Link:
        """The part's only way to Redis."""
        return self._link_of[part]

    def kill(self, part: Part, restart_after: float, name: str = "") -> None:
        """Kill -9; another part takes its place, under its name or another one."""
        part.kill()
        (self.coordinators if part in self.coordinators else self.workers).remove(part)
        self.to_start.append((time.monotonic() + restart_after, name or part.name))

    def new_name(self) -> str:
        self._names += 1
        return f"n{self._names}"

    def at_hand(self, parts: Iterable[Part]) -> list[Part]:
        """Those that live and that no other fault has in hand."""
        return [part for part in parts if part.log.name not in self.out_of_hand]

    def children(self, worker: Part) -> list[int]:
        """The processes of its pool."""
        return [pid for pid in worker.children() if is_alive(pid)]

    def keep_up(self) -> None:
        """Start what is due, and again what ended though nobody killed it."""
        if not self.redis_is_up:
            return
        for part in [*self.coordinators, *self.workers]:
            if (code := _status(part)) is not None:
                group = self.coordinators if part in self.coordinators else self.workers
                group.remove(part)
                self.to_start.append((time.monotonic() + 1, part.name))
                # A part that starts needs Redis; a supervisor would start it again, too.
                began = part.started_at
                if not any(began <= at < began + START_SECONDS for at in self.redis_changes):
                    self.surprises.append(f"{part.log.name} ended by itself: {code}")
        due = [x for x in self.to_start if x[0] <= time.monotonic()]
        for x in due:
            with contextlib.suppress(redis.RedisError):
                self.start(x[1])
                self.to_start.remove(x)

    # Redis

    def kill_redis(self) -> None:
        self.server.kill()
        self.redis_is_up = self.redis_is_there = False
        self.redis_changes.append(time.time())

    def writes_late(self) -> bool:
        """Whether Redis has answered writes that are not in its file: it waits for a busy disk."""
        return bool(self.store.info("persistence")["aof_buffer_length"])

    def start_redis(self) -> None:
        self.server.start()
        self.redis_is_up = self.redis_is_there = True
        self.redis_changes.append(time.time())

    def redis_refuses(self, refuses: bool) -> None:
        """It refuses every write from now on, or takes them again."""
        self.redis_is_up = not refuses
        self.redis_changes.append(time.time())

    def copy_redis(self) -> Path:
        """A copy of its append-only directory as it is now."""
        source, copy = self.server.directory / "appendonlydir", self.directory / "copy"
        while True:
            shutil.rmtree(copy, ignore_errors=True)
            # A file that is rewritten meanwhile: once more.
            with contextlib.suppress(FileNotFoundError, shutil.Error):
                shutil.copytree(source, copy)
                return copy

    def put_back(self, copy: Path) -> None:
        """Let a stopped Redis begin with a copy."""
        assert not self.redis_is_there
        target = self.server.directory / "appendonlydir"
        shutil.rmtree(target)
        copy.rename(target)

    def wipe(self) -> None:
        """Let a stopped Redis begin with nothing."""
        assert not self.redis_is_there
        shutil.rmtree(self.server.directory / "appendonlydir")

    def written_until(self) -> float:
        """The time of the oldest event that the history may not have."""
        events = self.store.xrange(self.engine.store.key("history"))
        times = [int(fields["at"]) / 1e6 for _, fields in events if "at" in fields]
        return min([t - self.server.offset for t in times], default=time.time())

    def takes_writes(self) -> bool:
        """Whether Redis does a write; this one changes nothing."""
        with self.if_redis_can():
            self.store.persist("no such key")
            return True
        return False

    @contextlib.contextmanager
    def if_redis_can(self) -> Iterator[None]:
        """Leave the block where Redis can't do it now."""
        try:
            yield
        except RedisAway:
            pass
        except redis.RedisError as error:
            if not is_transient(error):
                raise

    # Runs

    def submit(self, dag: RandomDag) -> Submitted:
        run = Submitted(new_run_id(dag.dag_id), dag, time.time())
        self.runs[run.run_id] = run
        self._send(run)
        return run

    def _send(self, run: Submitted) -> None:
        with self.if_redis_can():
            self._client.submit(run.dag.dag(str(self.journal)), run_id=run.run_id)

    def look(self) -> None:
        """What Redis says of all runs that have not ended long ago; sends lost ones again."""
        recent = [r for r in self.runs.values() if (r.ended_at or time.time()) > time.time() - 30]
        with self.if_redis_can():
            with self.store.pipeline(transaction=False) as pipe:
                for run in recent:
                    pipe.hget(self.engine.store.run_key(run.run_id), "state")
                states = pipe.execute()
            for run, state in zip(recent, states, strict=True):
                run.state = state
                if state in ENDED_RUN_STATES:
                    run.ended_at = run.ended_at or time.time()
                else:
                    run.ended_at = None
                self._miss(run)
            self._remember_messages()

    def _miss(self, run: Submitted) -> None:
        """Of a run that Redis does not have: it is in the history, or will be restored from there.

        If it is not, as one that was submitted a moment before, its client sends it again.
        """
        if run.state is not None:
            run.unknown_since = None
            return
        run.unknown_since = run.unknown_since or time.time()
        past = self.history.snapshot(run.run_id) if self._has_history() else None
        if past is not None and past.ended:
            run.ended_at = time.time()
        elif time.time() - run.unknown_since > RESTORE_SECONDS:
            self._send(run)

    def _has_history(self) -> bool:
        return (self.home / "history.sqlite").exists()

    def snapshot(self, run_id: str) -> RunSnapshot:
        """The run as Redis has it, else as the history does."""
        try:
            return self.engine.reading.snapshot(run_id)
        except UnknownRun:
            past = self.history.snapshot(run_id)
            if past is None:
                raise
            return past

    def unended(self) -> list[Submitted]:
        return [run for run in self.runs.values() if run.ended_at is None]

    def held(self) -> list[Try] | None:
        """Every try that somebody holds; None while Redis can't say."""
        tries: list[Try] = []
        with self.if_redis_can():
            members = self.store.zrange(self.engine.store.key("leases"), 0, -1)
            pairs = [member.split("/", 1) for member in members]
            for (run, task), record in zip(pairs, self._records(pairs), strict=True):
                if record is not None and record["state"] == "running":
                    number, process = int(record["try"]), int(record["process"] or 0)
                    worker = record["worker"].partition("@")[0]
                    tries.append(Try(run, task, number, record["token"], worker, process))
            return tries
        return None

    def _records(self, pairs: list[list[str]]) -> list[dict[str, str] | None]:
        with self.store.pipeline(transaction=False) as pipe:
            for run, task in pairs:
                pipe.hget(self.engine.store.run_key(run, "tasks"), task)
            return [packed and unpack_record(packed) for packed in pipe.execute()]

    def still(self, tries: Iterable[Try]) -> list[Try]:
        """Those that have neither ended nor been claimed anew; all while Redis can't say."""
        tries = list(tries)
        with self.if_redis_can():
            records = self._records([[t.run, t.task] for t in tries])
            ended = {run.run_id for run in self.runs.values() if run.ended_at is not None}
            pairs = list(zip(tries, records, strict=True))
            # A run that Redis has lost, and that was its schedule's, may not come again.
            lost = {t.run for t, r in pairs if r is None and self.is_of_schedule(t.run)}
            ended |= {run_id for run_id in lost if self._is_gone(run_id)}
            return [t for t, r in pairs if t.run not in ended and not _moved_on(t, r)]
        return tries

    def _is_gone(self, run_id: str) -> bool:
        if self.store.exists(self.engine.store.run_key(run_id)) or not self._has_history():
            return False
        past = self.history.snapshot(run_id)
        return past is None or past.ended

    def told(self, run_id: str) -> list[str]:
        """What Redis has of a run: its head, its tasks' records and its events."""
        key = self.engine.store.run_key
        events = self.store.xrange(key(run_id, "events"))
        return [
            str(self.store.hgetall(key(run_id))),
            *(
                f"{task}: {record}"
                for task, record in self.store.hgetall(key(run_id, "tasks")).items()
            ),
            *(f"{number} {fields}" for number, fields in events),
        ]

    # Published DAGs

    def server_time(self) -> float:
        """By the server's clock, as this process knows it."""
        return time.time() + self.server.offset

    def publish(self, timed: Timed) -> None:
        timed.asked_at = self.engine.publishing.now().timestamp()
        self._client.publish(timed.dag.dag(str(self.journal)))
        timed.published_at = self.engine.publishing.now().timestamp()
        self.timed[timed.dag_id] = timed

    def backfill(self, filled: Filled) -> None:
        self._client.publish(filled.dag.dag(str(self.journal)))
        self._client.pause(filled.dag_id)
        due = [datetime.fromtimestamp(at, UTC) for at in filled.due_times()]
        self._client.backfill(
            filled.dag_id, due[0], due[-1], max_active=2, newest_first=filled.newest_first
        )
        self.filled[filled.dag_id] = filled

    def are_backfills_done(self) -> bool:
        """Whether they are, by the history: a Redis that was lost gets back only what goes on."""
        with self.if_redis_can():
            done = self._ask_history(
                "SELECT DISTINCT backfill FROM pydag_backfill_events WHERE kind = 'done'"
            )
            go_on = [seen for seen in self.engine.backfilling.backfills() if seen.state != "done"]
            return len(done) == len(self.filled) and not go_on
        return False

    def are_published_in_history(self) -> bool:
        """Whether the history has all published DAGs and backfills: a wipe loses none."""
        dags = self._ask_history("SELECT DISTINCT dag_id FROM pydag_dag_events")
        backfills = self._ask_history("SELECT DISTINCT backfill FROM pydag_backfill_events")
        return len(dags) == len(self.timed | self.filled) and len(backfills) == len(self.filled)

    def is_history_written(self) -> bool:
        """Whether the history has all that has happened."""
        with self.if_redis_can():
            return bool(self.store.xlen(self.engine.store.key("history")) == 0)
        return False

    def are_schedules_closed(self) -> bool:
        """Pause each published DAG that has done all that was due; whether all are paused."""
        with self.if_redis_can():
            publishing = self.engine.publishing
            for timed in self.timed.values():
                if timed.until is None:
                    seen = publishing.dag(timed.dag_id)
                    if seen.due and seen.due > publishing.now():
                        self._client.pause(timed.dag_id)
                        due = publishing.dag(timed.dag_id).due  # a run may have come before
                        timed.until = due.timestamp() if due else None
        return all(timed.until is not None for timed in self.timed.values())

    def started(self, run_type: str = "scheduled") -> list[Started]:
        """The runs of published DAGs that schedules have started, by the history."""
        return [
            Started(run, dag, datetime.fromisoformat(date).timestamp(), at, ended is not None)
            for run, dag, date, at, ended in self._ask_history(
                "SELECT run_id, dag_id, logical_date, submitted_at, ended_at FROM pydag_runs"
                f" WHERE run_type = '{run_type}'"
            )
        ]

    def backfilled(self) -> list[Started]:
        """Likewise those of backfills."""
        return self.started("backfill")

    def missed(self) -> list[Missed]:
        """What the history says that published DAGs have missed."""
        found = []
        for dag, at, detail in self._ask_history(
            "SELECT dag_id, at, detail FROM pydag_dag_events WHERE kind = 'missed'"
        ):
            told = json.loads(detail)
            first, last = int(told["first"]) / 1e6, int(told["last"]) / 1e6
            found.append(Missed(dag, int(told["missed"]), first, last, at))
        return found

    def _ask_history(self, query: str) -> list[tuple[Any, ...]]:
        if not self._has_history():
            return []
        with contextlib.closing(sqlite3.connect(self.home / "history.sqlite")) as connection:
            return connection.execute(query).fetchall()

    def scheduled(self) -> dict[str, Submitted]:
        """The runs that schedules and backfills have started, as if they had been submitted."""
        published = self.timed | self.filled
        return {
            run.run_id: Submitted(run.run_id, published[run.dag_id].dag, run.at)
            for run in self.started() + self.backfilled()
            if run.dag_id in published
        }

    def is_of_schedule(self, run_id: str) -> bool:
        """Whether a run's id is one that a schedule or a backfill gives."""
        name = run_id.rpartition("-")[0]
        return name in self.timed or name.rpartition("-")[0] in self.filled

    # Messages

    def messages(self) -> list[tuple[str, str]]:
        """(queue, message) of all that waits on the queues' lists."""
        lists = {queue: self.store.lrange(self.queue(queue), 0, -1) for queue in QUEUES}
        return [(queue, message) for queue, found in lists.items() for message in found]

    def queue(self, name: str) -> str:
        return self.engine.store.key(f"q:{name}")

    def _remember_messages(self) -> None:
        waiting = self.messages()
        self.queues_are_empty = not waiting
        self.old_messages = (self.old_messages + waiting)[-OLD_MESSAGES:]


def _status(part: Part) -> int | None:
    """Its exit status; None while it runs."""
    assert part._process is not None
    return part._process.poll()


def try_of(message: str) -> Try | None:
    """The try that a message is of; None for a message that is no single try's."""
    header = json.loads(message)["headers"]["pydag"]
    if header["run"] == "*":
        return None
    return Try(header["run"], header["task"], int(header["try"]), "")


def _moved_on(t: Try, record: dict[str, str] | None) -> bool:
    if record is None:  # Redis was rolled back to before it, and it begins anew
        return False
    if record["state"] in ENDED_TASK_STATES or int(record["try"]) > t.number:
        return True
    claimed = record["state"] in ("running", "deferred") and record["token"] != t.token
    return claimed or record["state"] == "up_for_retry"
