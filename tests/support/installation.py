"""An installation without processes: plans and executes in the test, step by step."""

from __future__ import annotations

import json
from dataclasses import replace

from pydag_dist.coordinator.plan import plan_of
from pydag_dist.dag import Dag
from pydag_dist.engine import CHUNK, Engine, Held, LogPart

TEMPLATE = (
    '{"headers": {"pydag": {"run": "<<run>>", "task": "<<task>>", "try": "<<try>>", '
    '"push": "<<push>>"}}}'
)


class Installation:
    """A coordinator and a worker that do one thing at a time, when told to."""

    def __init__(self, connection, prefix="pydag", worker="worker@host", queue="python"):
        self.engine = Engine(connection, prefix)
        self.engine.planning.set_template(TEMPLATE)
        self.connection = connection
        self.worker = worker
        self.queue = queue
        self.written = {}  # try -> parts of its log

    def plan(self, run_id):
        """Plan a submitted run and start it."""
        dag = Dag.parse(self.engine.reading.submitted_dag(run_id))
        rows = plan_of(dag).rows
        token = self.engine.planning.plan_begin(run_id)
        first = [name for name, t in dag.tasks.items() if not t.dependencies]
        self.engine.working.renew(self.worker, 1000, [self.queue])
        mine = [replace(row, queue=self.queue) for row in rows]
        for at in range(0, len(mine), CHUNK):
            self.engine.planning.plan_chunk(run_id, token, mine[at : at + CHUNK])
        self.engine.planning.plan_first(run_id, token, first)
        self.engine.planning.plan_commit(run_id, token, len(rows), [self.queue], first=len(first))

    def claim(self):
        """Take the next message and start its task."""
        packed = self.connection.rpop(self.engine.store.key(f"q:{self.queue}"))
        sent = json.loads(packed)["headers"]["pydag"]
        number = int(sent["try"])
        self.engine.working.claim(
            sent["run"], sent["task"], number, sent["push"], self.worker, process=1
        )
        return Held(sent["run"], sent["task"], number, sent["push"])

    def end(self, held, outcome="success", result="", error=""):
        """End a task."""
        assert self.engine.working.release(held, outcome, result, error) == "ok"

    def log(self, held, *lines, at=1000.0, level="INFO"):
        """Write log lines of a task, a second apart."""
        number = self.written[held] = self.written.get(held, 0) + 1
        texts = json.dumps([[at + i, level, line] for i, line in enumerate(lines)])
        part = LogPart(f"test{number}", number, 0, 0, texts)
        self.engine.working.write_log(held, part, 60)

    def work_off(self, run_id):
        """Plan the run and end every task well."""
        self.plan(run_id)
        while self.engine.reading.run_state(run_id) == "running":
            self.end(self.claim())
