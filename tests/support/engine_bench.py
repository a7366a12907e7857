"""Runs on a real server driven by hand, in the place of coordinators and of one worker."""

from __future__ import annotations

import json
from typing import Any

from pydag_dist.coordinator.planner import plan
from pydag_dist.dag import Dag
from pydag_dist.engine import Claim, Engine, Held
from pydag_dist.engine.protocol import unpack_record
from pydag_dist.engine.script import Script, source
from tests.support.cluster import dag

MARKS = '{"run": "<<run>>", "task": "<<task>>", "try": "<<try>>", "push": "<<push>>"}'
QUEUES = ("bigquery", "python")
CALL = {"operator": "python.call", "params": {"callable": "etl:step"}}
QUERY = {"operator": "bigquery.query", "params": {"sql": "SELECT 1"}}


def task(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    return {"task_id": name, **CALL, "dependencies": list(after), **fields}


def with_own_clock(engine: Engine, code: str | None = None) -> None:
    """Let the key `now`, in µs, be the server's clock for this engine; each call takes one µs."""
    code = code or source()
    own = code.replace("call('TIME')", "{ 0, call('INCR', key('now')) }")
    assert own != code
    engine.store.script = Script(engine.store.redis, own)


class Bench:
    """Runs driven by hand, in the place of coordinators and of one worker `w`."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.engine = Engine(client, "p", "tick")
        template = '{"headers": {"pydag": ' + MARKS + "}}"
        self.engine.planning.set_template(template)

    def slots(self, count: int, queue: str = "python") -> None:
        self.engine.working.renew("w", count, [queue])

    def submit(self, *tasks: dict[str, Any], run: str = "r", **fields: Any) -> None:
        graph = dag(list(tasks), **fields)
        timeout = graph.timeout or 0
        self.engine.steering.submit(
            run,
            graph.to_json(),
            "test",
            processors=graph.processors,
            weight=graph.weight,
            timeout=timeout,
        )

    def plan(self, run: str = "r") -> None:
        assert plan(self.engine, run, Dag.parse(self.engine.reading.submitted_dag(run)))

    def start(self, *tasks: dict[str, Any], run: str = "r", **fields: Any) -> None:
        self.submit(*tasks, run=run, **fields)
        self.plan(run)

    def pop(self, queue: str = "python") -> Held:
        header = json.loads(self.client.rpop(f"p:q:{queue}"))["headers"]["pydag"]
        return Held(header["run"], header["task"], int(header["try"]), header["push"])

    def take(self, queue: str = "python", *, process: int = 1) -> Held:
        held = self.pop(queue)
        answer = self.engine.working.claim(*vars(held).values(), "w", process=process)
        assert isinstance(answer, Claim), answer
        return held

    def end(self, held: Held, outcome: Any = "success", **what: Any) -> None:
        assert self.engine.working.release(held, outcome, **what) == "ok"

    def began(self, held: Held, ago: float) -> None:
        """The try began so many seconds ago."""
        key = f"p:run:{held.run}:tasks"
        record = unpack_record(self.client.hget(key, held.task))
        record["began"] = str(int(record["began"]) - round(ago * 1e6))
        self.client.hset(key, held.task, "|".join(record.values()) + "|")

    def tick(self) -> None:
        self.client.hdel("p:clock", "ticked")
        assert self.engine.tick()
