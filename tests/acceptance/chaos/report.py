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


def table(faults: Sequence[Fault]) -> Iterator[str]:
    """Per kind of fault: how many, how many touched anything, and the times until it moved on."""
    kinds: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        kinds[fault.kind].append(fault)
    yield f"{'fault':18} {'count':>5} {'touched':>8} {'median':>8} {'worst':>8}"
    for kind, those in sorted(kinds.items()):
        times = [f.recovered_after for f in those if f.recovered_after is not None]
        touched = sum(bool(f.touched or f.unplanned) for f in those)
        row = f"{kind:18} {len(those):5} {touched:8}"
        yield row + (f" {median(times):6.1f} s {max(times):6.1f} s" if times else "")


def summary(chaos: Chaos, seconds: float) -> Iterator[str]:
    runs = list(chaos.system.runs.values())
    tasks = sum(len(run.dag.tasks) for run in runs)
    lines = work.read(chaos.system.journal)
    yield from table(chaos.faults)
    yield ""
    yield (
        f"{len(chaos.faults)} faults, {len(runs)} runs of {tasks} tasks, "
        f"{sum(x.what == 'start' for x in lines)} executions, {seconds:.0f} s; "
        f"seed {chaos.plan.seed}"
    )
    repeats = ", ".join(f"{n} {kind}" for kind, n in chaos.judge.repeats.most_common())
    yield f"tries that ran again, by the fault that cost it: {repeats or 'none'}"
    open_ = [fault for fault in chaos.faults if fault.touched and fault.recovered_after is None]
    yield from (f"not recovered from: {fault}; {fault.left}" for fault in open_)


def evidence(chaos: Chaos, violations: Sequence[Violation]) -> Iterator[str]:
    """What is needed to understand a violation, and to get it again."""
    again = f"make chaos N={chaos.plan.faults} SEED={chaos.plan.seed}"
    yield f"{len(violations)} violations; again: {again}"
    for violation in violations:
        yield f"  {violation.run} {violation.task}: {violation.text}"
    yield from (f"  {fault.at:.2f} {fault} until {fault.until:.2f}" for fault in chaos.faults)
    runs = list(dict.fromkeys(v.run for v in violations if v.run))[:RUNS_SHOWN]
    for run_id in runs:
        yield from _of_run(chaos, run_id, {v.task for v in violations if v.run == run_id})
    for part in chaos.system.cluster.parts:
        yield f"--- {part.log.name}\n{part.text()[-LOG_CHARACTERS:]}"


def _of_run(chaos: Chaos, run_id: str, tasks: set[str]) -> Iterator[str]:
    run = chaos.system.runs[run_id]
    yield f"--- run {run_id}"
    yield run.dag.dag(str(chaos.system.journal)).to_json()
    for line in work.read(chaos.system.journal):
        if line.run == run_id and line.task in tasks:
            yield json.dumps(asdict(line))
    yield from chaos.told.get(run_id, [])
