"""The table of recovery times, and the evidence of what is wrong."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from statistics import median

from tests.acceptance.chaos import work
from tests.acceptance.chaos.chaos import Chaos
from tests.acceptance.chaos.faults import Fault
from tests.acceptance.chaos.judge import Violation

RUNS_SHOWN = 3
LOG_CHARACTERS = 3_000
# Faults of Redis itself.
OF_REDIS = {
    "kill_redis",
    "redis_away",
    "roll_back_1",
    "roll_back_5",
    "wipe",
    "demoted",
    "no_replicas",
    "disk_full",
    "clock_step",
}


AFTER_OUTAGE = ", Redis away lately"  # or meanwhile


def table(faults: Sequence[Fault]) -> Iterator[str]:
    """Per kind of fault: how many, and how long until all that they touched had moved on.

    That is, until every try that the fault touched had ended or was claimed anew, from the fault
    on. A try that another fault touched meanwhile counts for that one. Leases stand while
    Redis is away: faults within 45 s after that, or that it befell, have rows of their own.
    """
    kinds: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        late = fault.after_outage and fault.kind not in OF_REDIS
        kinds[fault.kind + (AFTER_OUTAGE if late else "")].append(fault)
    yield f"{'fault':40} {'count':>5} {'measured':>8} {'median':>8} {'worst':>8}"
    for kind, those in sorted(kinds.items()):
        times = [f.recovered_after for f in those if f.recovered_after is not None]
        row = f"{kind:40} {len(those):5} {len(times):8}"
        yield row + (f" {median(times):6.1f} s {max(times):6.1f} s" if times else "")


def summary(chaos: Chaos, seconds: float) -> Iterator[str]:
    scheduled = chaos.system.scheduled()
    runs = [*chaos.system.runs.values(), *scheduled.values()]
    tasks = sum(len(run.dag.tasks) for run in runs)
    lines = work.read(chaos.system.journal)
    yield from table(chaos.faults)
    yield ""
    if chaos.system.timed:
        yield f"{len(chaos.system.timed)} published DAGs, {chaos.judge.tally}"
    if filled := chaos.system.filled.values():
        due = sum(each.count for each in filled)
        yield f"{len(filled)} backfills of {due} due times: {len(chaos.system.backfilled())} runs"
    yield (
        f"{len(chaos.faults)} faults, {len(runs)} runs of {tasks} tasks, "
        f"{sum(x.what == 'start' for x in lines)} executions, {seconds:.0f} s; "
        f"seed {chaos.plan.seed}"
    )
    repeats = ", ".join(f"{n} {kind}" for kind, n in chaos.judge.repeats.most_common())
    yield f"tries that ran again, by the fault that cost it: {repeats or 'none'}"
    yield from (f"not recovered from: {fault}; {fault.left}" for fault in chaos.open())


def evidence(chaos: Chaos, violations: Sequence[Violation]) -> Iterator[str]:
    """What is needed to understand a violation, and to get it again."""
    yield f"{len(violations)} violations; again: {chaos.plan}"
    for violation in violations:
        yield f"  {violation.run} {violation.task}: {violation.text}"
    yield from (f"  {fault.at:.2f} {fault} until {fault.until:.2f}" for fault in chaos.faults)
    runs = list(dict.fromkeys(v.run for v in violations if v.run))[:RUNS_SHOWN]
    for run_id in runs:
        yield from _of_run(chaos, run_id, {v.task for v in violations if v.run == run_id})
    for part in chaos.system.cluster.parts:
        yield f"--- {part.log.name}\n{part.text()[-LOG_CHARACTERS:]}"


def _of_run(chaos: Chaos, run_id: str, tasks: set[str]) -> Iterator[str]:
    run = (chaos.system.runs | chaos.system.scheduled())[run_id]
    yield f"--- run {run_id}"
    yield run.dag.dag(str(chaos.system.journal)).to_json()
    for line in work.read(chaos.system.journal):
        if line.run == run_id and line.task in tasks:
            yield json.dumps(asdict(line))
    yield from chaos.told.get(run_id, [])
