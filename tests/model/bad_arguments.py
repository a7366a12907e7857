"""Every operation of the engine with every kind of argument that is none: nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydag_dist.engine import Deferral, Engine, Held, PlannedTask
from pydag_dist.engine.roles.steering import dag_hash
from pydag_dist.engine.values import LostTask
from pydag_dist.errors import EngineError
from tests.support.engine_bench import MARKS

TEMPLATE = '{"headers": {"pydag": ' + MARKS + "}}"
HANDLE = json.dumps({"job": "j"})
DEEP = "[" * 101 + "]" * 101
QUEUES_65 = " ".join(f"q{i}" for i in range(65))

ID = ["", "a/b", 'q"uote', "Q:tasks", "a b", "*", "..", "ä", "a|b", "x" * 201, "a\n"]
TOKEN = ["", "a/b", "a b", "x" * 65]
INTEGER = ["", "-1", "1.5", "nan", "inf", "0x10", "x", "1e400"]
DEFERRALS = ["", " 5", " x g", " 5 a/b", " 5  g", " 5 g h", " 31536000000001 g", " 5 " + "x" * 201]
OUTCOMES = ["", "x", "success 5 g", *(f"deferred{deferral}" for deferral in DEFERRALS)]
SECONDS = ["", "-1", "nan", "inf", "1e-7", "31536001", "x"]
BIG = '"' + "x" * 70_000 + '"'
HUGE = "x" * (64 * 2**20 + 1)
# One command for all keys: asked for one by one, they cost ten times the calls that are tried.
DUMP_ALL = """
local found = {}
for at, key in ipairs(redis.call('KEYS', '*')) do
  found[at] = key .. redis.call('DUMP', key)
end
table.sort(found)
return found
"""

TIME = ["-1", "1.5", "nan", "x", "1e400"]
BY = ("ana@host", ["", "a b", "a|b", "x" * 256])
PERSON = ("", BY[1][1:])
SEEN = [("1", INTEGER), ("1000", TIME)]
TEXT = [
    ('{"new": 1}', ["", HUGE]),
    ('{"schedule_interval": "@daily"}', ["x", "{", '"' + "x" * 4_096 + '"']),
    ("1", [*INTEGER, "0", "1001"]),
    ("folder/d.json", ["a|b", "a\n", "x" * 256]),
    BY,
]
# Up to 500 all is settled.
MISSED = [("2", INTEGER), ("600", ["", *TIME, "500", "701"]), ("700", ["", *TIME, "599"])]
MOVE = [("2000", [*TIME, "700", "500"]), *MISSED]
LOST_DAG = json.dumps(
    [
        {
            "version": 7,
            "settled": "",
            "missed": 0,
            "missed_last": "",
            "schedule": "{}",
            "max_active": 1,
            "source": "",
            "due": "1000",
            "published_at": "5",
            "published_by": "ana@host",
            "paused_at": "",
            "paused_by": "",
            "last_run": "",
        }
    ]
)

LOST_BACKFILL = {
    "state": "running",
    "dag_id": "d",
    "schedule": "{}",
    "first": "1000",
    "last": "3000",
    "next": "1000",
    "newest_first": "0",
    "again": "none",
    "weight": "0.5",
    "max_active": 1,
    **dict.fromkeys(("total", "left_out", "made", "success", "failed", "cancelled", "spent"), 0),
    "retention": "60",
    "created_at": "5",
    "created_by": "ana@host",
    "changed_at": "5",
    "changed_by": "",
    "why": "",
}
ENDED_BACKFILL = json.dumps([LOST_BACKFILL | {"state": "done"}])
DATE = ("2026-01-31T00:00:00+00:00", ["a b", "x" * 65])

# Operation -> for each argument a good value and bad ones.
ARGUMENTS: dict[str, list[tuple[str, list[str]]]] = {
    "submit": [("new", ID), ("{}", ["", HUGE])],
    "restore": [("lost", ID), ("rows", ["", "x", "1", '{"a": 1}', "[1]", "[{}]"])],
    "restore_run": [("lost", ID), ("{}", [""]), ("1", ["", "2", "yes"])],
    "resume": [("ended", ID), ("", ID[1:]), PERSON],
    "resume_with": [
        ("ended", ID),
        ("", ID[1:]),
        PERSON,
        ("hash", ["a|b", "x" * 256]),
        ("", ["a/b", "a  b"]),
        ("{}", ["", HUGE]),
    ],
    "plan_begin": [("queued", ID)],
    "plan_refuse": [("queued", ID), ("wrong", ["x" * 40_001])],
    "plan_chunk": [
        ("queued", ID),
        ("token", TOKEN),
        ("rows", ["", "x", "1", '{"a": 1}', "[1]", "[{}]", json.dumps([{}] * 501)]),
    ],
    "plan_commit": [
        ("queued", ID),
        ("token", TOKEN),
        ("1", INTEGER),
        ("0", [*INTEGER, "2"]),
        ("0", [*INTEGER, "1"]),
        ("python", ["a/b", QUEUES_65, "a  b"]),
        ("1", INTEGER),
    ],
    "cancel": [("running", ID), ("cancel", ["", "x"]), PERSON],
    "mark": [
        ("running", ID),
        ("b", ID),
        ("success", ["", "cancelled", "none"]),
        ("ana@host", ["", "a b", "a|b", "x" * 256]),
        ("1", ["x", "{", DEEP, BIG]),
        ("a 1", ["a", "a b", "a 10001"]),
    ],
    "let_expire": [("ended", ID)],
    "work": [("running", ID)],
    "claim": [
        ("running", ID),
        ("a", ID),
        ("1", [*INTEGER, "0"]),
        ("token", TOKEN),
        ("w", ["", "a|b", "a/b", "a b", "x" * 256]),
        ("1", INTEGER),
    ],
    "release": [
        ("running", ID),
        ("b", ID),
        ("1", [*INTEGER, "0"]),
        ("token", TOKEN),
        ("success", OUTCOMES),
        ("", ["x", "{", DEEP, BIG]),
        ("", ["x" * 40_001]),
        ("", ["a/b", "a  b"]),
        ("", ["a", "a b", "a/b 1", "a 10001", "a -1", " ".join(["a 10000"] * 11)]),
    ],
    "run_on": [
        ("python", ID),
        ("w", ["", "a|b", "a/b", "a b", "x" * 256]),
        ("1", INTEGER),
        ("running", ID),
        ("b", ID),
        ("1", [*INTEGER, "0"]),
        ("token", TOKEN),
        ("success", OUTCOMES),
        ("", ["x", "{", DEEP, BIG]),
        ("", ["x" * 40_001]),
        ("", ["a/b", "a  b"]),
        ("", ["a", "a b", "a/b 1", "a 10001", "a -1"]),
        ("1000", ["x", "-1"]),
        ("1000", ["x", "-1"]),
    ],
    "hand_in": [
        ("w", ["", "a|b", "a/b", "a b", "x" * 256]),
        ("1", INTEGER),
        ("", ["a/b", "a b"]),
        ("", ["a/b", "a b"]),
        ("running", ID),
        ("b", ID),
        ("1", [*INTEGER, "0"]),
        ("token", TOKEN),
        ("success", OUTCOMES),
        ("", ["x", "{", DEEP, BIG]),
        ("", ["x" * 40_001]),
        ("", ["a/b", "a  b"]),
        ("", ["a", "a b", "a/b 1", "a 10001", "a -1"]),
        ("1000", ["x", "-1"]),
        ("1000", ["x", "-1"]),
    ],
    "webhook_not_tried": [("ended", ID), ("ended", ["", "x"])],
    "webhook_later": [("ended", ID), ("late", ["", "x"]), ("1000", INTEGER)],
    "take_webhook": [("1000", INTEGER)],
    "renew": [
        ("w", ["", "a|b", "a/b", "a b", "x" * 256]),
        ("1", [*INTEGER, "100001"]),
        ("python", ["a/b", QUEUES_65, "a  b"]),
        ("", ["-1", "x", "nan", "1.5"]),
        ("1 2", ["x", "-1", "1/2", "1" * 20_001]),
        ("running", ID),
        ("b", ID),
        ("1", [*INTEGER, "0"]),
        ("token", TOKEN),
    ],
    "refuse": [
        ("w", ["", "a|b", "a/b", "a b", "x" * 256]),
        ("module:m", ["a b", "a/b", "x" * 101]),
        ("no such module", ["x" * 2_001]),
        ("running", ID),
        ("b", ID),
        ("1", [*INTEGER, "0"]),
        ("token", TOKEN),
    ],
    "register": [
        ("workers", ["", "others"]),
        ("w", ["", "a|b", "a/b", "a b", "x" * 256]),
        ("process", ["", "a b", "x" * 101]),
        ("0", INTEGER),
        ("{}", ["", "x", BIG, DEEP]),
        ("15000000", [*INTEGER, "2999999", "600000001"]),
        ("0", ["", "2"]),
    ],
    "unregister": [
        ("workers", ["", "others"]),
        ("w", ["", "a|b", "a/b", "a b"]),
        ("process", ["", "a b"]),
    ],
    "claim_polls": [("python", ID), ("g", ["", "a/b"]), ("token", TOKEN), ("w", ["", "a|b"])],
    "log": [
        ("60", [*INTEGER, "0"]),
        ("running", ID),
        ("b", ID),
        ("1", [*INTEGER, "0"]),
        ("token", ["", "a b", "a/b", "x" * 101]),
        ("7", INTEGER),
        ("0", INTEGER),
        ("0", INTEGER),
        ('[[1, "INFO", "text"]]', ["x" * (2**18 + 1)]),
    ],
    "log_stored": [
        ("60", [*INTEGER, "0"]),
        ("running", ID),
        ("b", ID),
        ("1", [*INTEGER, "0"]),
        ("1-0", TOKEN),
    ],
    "tick": [("epoch", TOKEN)],
    "publish": [("d", ID), *SEEN, *TEXT, *MOVE],
    "pause": [("d", ID), BY],
    "unpause": [("paused", ID), *SEEN, BY, *MOVE],
    "unpublish": [("d", ID), *SEEN, BY, *MISSED],
    "fire": [
        ("d", ID),
        *SEEN,
        ("d-1", ID),
        ("1000", [*INTEGER, "0", "999", "2000"]),
        DATE,
        ("2000", [*TIME, "1000", "600"]),
        *MISSED,
    ],
    "start": [("d", ID), ("by-hand", ID), ("{}", ["", "x", "{"]), ("", ["a b"]), BY],
    "start_child": [
        ("paused", ID),
        ("child", ID),
        ("{}", ["", "x", "{"]),
        ("", ["a b"]),
        ("running", ID),
        ("a", ID),
        ("1", [*INTEGER, "0"]),
    ],
    "restore_dag": [
        ("lost", ID),
        ("{}", [HUGE]),
        (LOST_DAG, ["", "x", "{}", "[{}]", "[]", "[1]"]),
    ],
    "backfill": [
        ("new", ID),
        ("d", ID),
        *SEEN,
        ('{"schedule_interval": "@daily"}', ["x", "{"]),
        ("1000", [*INTEGER, "0", "3001"]),
        ("3000", [*INTEGER, "0", "999"]),
        ("3", [*INTEGER, "0", "10001"]),
        ("0", ["", "2"]),
        ("none", ["", "some"]),
        ("0.5", ["", "0", "nan", "1000.1", "x"]),
        ("1", [*INTEGER, "0", "1001"]),
        BY,
    ],
    "advance_backfill": [
        ("fill", ID),
        ("1000", TIME),
        ("1", INTEGER),
        ("0", INTEGER),
        ("d-1", ID[1:]),
        DATE,
        ("2000", [*TIME, "1000", "900", "3001"]),
    ],
    "pause_backfill": [("fill", ID), ("ana@host", ["a|b", "x" * 256]), ("", ["x" * 2_001])],
    "unpause_backfill": [
        ("still", ID),
        ("1000", TIME),
        ("1", INTEGER),
        ("{}", ["x", "{"]),
        ("2000", [*TIME, "999", "3001"]),
        ("3", INTEGER),
        BY,
    ],
    "cancel_backfill": [("fill", ID), BY],
    "restore_backfill": [
        ("lost", ID),
        (json.dumps([LOST_BACKFILL]), ["", "x", "{}", "[{}]", "[]", "[1]", ENDED_BACKFILL]),
        ("running", ["a/b", "a  b"]),
    ],
}

WITH_HEAD = ("submit", "restore_run", "resume_with", "publish", "restore_dag")
HEAD = {
    "dag_id": ("d", ID),
    "processors": ("0", [*INTEGER, "100001"]),
    "weight": ("1", ["", "0", "1e-300", "-1", "nan", "inf", "1000.1", "x"]),
    "timeout": ("0", SECONDS),
    "retention": ("60", [*INTEGER, "0", "315360001"]),
    "params": ("{}", ["", "x", "{", '{"a": ' + DEEP + "}", '"' + "x" * 2**20 + '"']),
    "logical_date": ("", ["a b", "x" * 65]),
    "hooks": ("0", ["", "2"]),
}

# Field of a row -> values that are none.
WORDS: list[Any] = [None, 1, [], {}, ""]
NUMBERS: list[Any] = [None, "", "x", -1, 1.5, 1e30, [], {}]
PLANNED: dict[str, list[Any]] = {
    "task": [*ID[1:], None, 1, [], {}],
    "state": [*WORDS, "up"],
    "queue": [*ID, None, 1],
    "rank": [*WORDS, "x", "1/2"],
    "rule": [*WORDS, "some"],
    "spec": [None, 1, [], {}],
    "downstream": [None, "a", {"a": 1}, [1], [""], ["a/b"], [" ".join(["a"] * 501)]],
    "lists_for": [None, "a", [1], ["a/b"]],
    "timeout": [*NUMBERS, 1],
    **dict.fromkeys(
        ("try", "last_try", "pushes", "retries", "retry_delay", "max_retry_delay"), NUMBERS
    ),
    **dict.fromkeys(("upstream", "ok", "bad", "dead_up", "skips"), NUMBERS),
    **{n: [*NUMBERS, 2] for n in ("retry_backoff", "allow_failure", "remote", "sensor", "expand")},
    **{n: [None, 1, ""] for n in ("child", "again", "anew")},
    "keep": [None, 1, "", True],  # there is no record that could be kept
}
LOST: dict[str, list[Any]] = {
    "task": [*ID, None, 1],
    "state": [*WORDS, "up"],
    "worker": [None, 1, "a|b", "x" * 256],
    "result": [None, 1, "x", DEEP, BIG],
    "error": [None, 1, "x" * 40_001],
    "branch_skips": [None, 1, "a/b"],
    "expansions": [None, 1, "a", "a 10001"],
    **dict.fromkeys(("try", "last_try", "pushes", "upstream", "ok", "deaths", "losses"), NUMBERS),
    **{n: [None, -1, "x", "nan", []] for n in ("ready_at", "queued_at", "started_at", "ended_at")},
}


class Scene:
    """A Redis with a run in each state, and a task in most; a worker `w` and its tries."""

    def __init__(self, client: Any) -> None:
        client.flushall()
        client.set("p:epoch", "e")
        self.client = client
        self.engine = Engine(client, "p", "tick")
        self.engine.planning.set_template(TEMPLATE)
        self.engine.working.renew("w", 2, ["python"])
        for name in ("d", "paused"):
            head = {field: value for field, (value, _) in HEAD.items()} | {"dag_id": name}
            move = (1000, 1, 500, 500)
            publish = ("publish", name, 0, "", "{}", "", 1, "", "ana@host", *move)
            self.engine.store.call(*publish, *(part for pair in head.items() for part in pair))
        self.engine.store.call("pause", "paused", "ana@host")
        for name in ("fill", "still"):
            given = ("d", 1, "1000", "{}", 1000, 3000, 3, 0, "none", 0.5, 1, "ana@host")
            assert self.engine.store.call("backfill", name, *given) == "made"
        self.engine.store.call("pause_backfill", "still", "ana@host", "")
        self._plan("ended")
        self.engine.steering.cancel("ended")
        self._plan("running")
        self.held = self._take()  # of "running": a runs, b is deferred and due, c is queued
        deferred = self._take()
        self.engine.working.defer(deferred, Deferral("g", 0, HANDLE))
        self.engine.steering.submit("queued", "{}", "d")
        self.token = self.engine.planning.plan_begin("queued")
        assert self.token
        self.engine.planning.plan_chunk("queued", self.token, [self._row("a")])
        self.engine.planning.plan_first("queued", self.token, ["a"])

    def _row(self, task: str) -> PlannedTask:
        return PlannedTask(task, "python", 0, [], "{}")

    def _plan(self, run: str) -> None:
        self.engine.steering.submit(run, "{}", "d", hooks=True)
        token = self.engine.planning.plan_begin(run)
        assert token
        self.engine.planning.plan_chunk(run, token, [self._row(task) for task in "abc"])
        self.engine.planning.plan_first(run, token, list("abc"))
        self.engine.planning.plan_commit(run, token, 3, ["python"], first=3)

    def _take(self) -> Held:
        header = json.loads(self.client.rpop("p:q:python"))["headers"]["pydag"]
        held = Held(header["run"], header["task"], int(header["try"]), header["push"])
        self.engine.working.claim(held.run, held.task, held.try_number, held.token, "w", process=1)
        return held

    def dump(self) -> list[bytes]:
        """All that is in Redis."""
        found: list[bytes] = self.client.execute_command("EVAL", DUMP_ALL, 0, NEVER_DECODE=[])
        return found

    def good(self, operation: str, rows: str | None = None) -> list[str]:
        """Arguments of an operation that are fine, and would change something."""
        given = [good for good, _ in ARGUMENTS[operation]]
        if "rows" in given:
            row = self._row("z") if operation == "plan_chunk" else LostTask("z", "success", 1)
            given[given.index("rows")] = rows or json.dumps([row.row()])
        token = self.token if operation.startswith("plan") else self.held.token
        given = [str(token) if value == "token" else value for value in given]
        if "hash" in given:
            given[given.index("hash")] = dag_hash("{}")
        if operation in WITH_HEAD:
            given += [part for name, (value, _) in HEAD.items() for part in (name, value)]
        return given


def calls(scene: Scene) -> Iterator[tuple[str, list[str]]]:
    """Operations with arguments of which one is wrong, or one too many or few."""
    yield "no_such_operation", ["running"]
    taker, item = scene.good("hand_in")[:4], scene.good("hand_in")[4:]
    yield "hand_in", taker + item * 501
    for operation, arguments in ARGUMENTS.items():
        good = scene.good(operation)
        for place, (_, bad) in enumerate(arguments):
            for value in bad:
                yield operation, [*good[:place], value, *good[place + 1 :]]
        yield operation, good[:-1]
        yield operation, [*good, "more"]
        yield operation, []
    yield from calls_with_heads(scene)
    yield from calls_with_rows(scene)


def calls_with_heads(scene: Scene) -> Iterator[tuple[str, list[str]]]:
    for operation in WITH_HEAD:
        good = scene.good(operation)
        for name, (_, bad) in HEAD.items():
            place = good.index(name) + 1
            for value in bad:
                yield operation, [*good[:place], value, *good[place + 1 :]]
        yield operation, [*good, "state", "success"]
        yield operation, good[: -2 * len(HEAD)]
        yield operation, good[: -2 * len(HEAD) + 4]


def calls_with_rows(scene: Scene) -> Iterator[tuple[str, list[str]]]:
    for operation, fields, row in (
        ("plan_chunk", PLANNED, scene._row("z").row()),
        ("restore", LOST, LostTask("z", "success", 1).row()),
    ):
        for name, bad in fields.items():
            for value in bad:
                # The row before it is fine, and not written all the same.
                rows = [row, row | {"task": "y", name: value}]
                yield operation, scene.good(operation, json.dumps(rows))
        yield operation, scene.good(operation, json.dumps([row, {}]))


def written_in_spite(scene: Scene) -> list[tuple[str, list[str], str]]:
    """The calls that were not refused, or that have changed anything."""
    wrong = []
    before = scene.dump()
    for operation, arguments in calls(scene):
        told = "not refused"
        try:
            scene.engine.store.call(operation, *arguments)
        except EngineError as error:
            told = str(error)
        after = scene.dump()
        if (not told.startswith(operation) and operation not in told) or after != before:
            wrong.append((operation, [value[:60] for value in arguments], told))
            before = after
    return wrong
