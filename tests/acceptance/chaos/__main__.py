"""A session of faults and its times of recovery; exit status 1 if anything is wrong."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.acceptance.chaos.chaos import Chaos, Plan
from tests.acceptance.chaos.faults import IF_NAMED, KINDS
from tests.acceptance.chaos.report import evidence, summary


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing stays behind
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=200, help="how many (N)")
    parser.add_argument("--seed", type=int, default=1, help="of DAGs, faults and their moments")
    parser.add_argument("--gap", type=float, default=7, help="seconds between two, on average")
    parser.add_argument("--runs", type=int, default=10, help="runs in flight")
    kinds = [kind.__name__ for kind in [*KINDS, *IF_NAMED]]
    parser.add_argument("--only", nargs="+", default=[], choices=kinds, help="kinds of faults")
    parser.add_argument("--schedules", type=int, default=3, help="published DAGs (N)")
    parser.add_argument("--backfills", type=int, default=2, help="of 40 due times each (N)")
    parser.add_argument("--every", type=int, default=3, help="seconds between their due times")
    parser.add_argument("--coordinators", type=int, default=2, help="how many (N)")
    short = "share of the DAGs whose tasks all take less than 5 ms (0 to 1)"
    parser.add_argument("--short", type=float, default=0, help=short)
    parser.add_argument("--keep", type=Path, help="a directory to work in that is left as it is")
    given = parser.parse_args()
    plan = Plan(
        given.faults,
        given.seed,
        given.gap,
        given.runs,
        tuple(given.only),
        schedules=given.schedules,
        backfills=given.backfills,
        every=given.every,
        coordinators=given.coordinators,
        short=given.short,
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        directory = given.keep or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        chaos = Chaos(plan, directory, say)
        violations = chaos.run()
        for line in summary(chaos, time.monotonic() - began):
            say(line)
        for line in evidence(chaos, violations) if violations else ["every run ended as it had to"]:
            say(line)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
