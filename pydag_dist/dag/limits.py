"""All limits of what users give. docs/dag-files.md has them, `LUA` is for the engine's script."""

from __future__ import annotations

from typing import Final

YEAR: Final = 365 * 86400  # seconds

ID: Final = 200  # characters of the id of a DAG, a task, a queue or a run
GROUP: Final = 200  # characters of the name of tries that are polled together
WORKER: Final = 255  # characters of a worker's name

TASKS: Final = 100_000  # of a DAG
EDGES: Final = 1_000_000  # dependencies of all tasks of a DAG together
QUEUES: Final = 64  # of a DAG, and of a worker
TEARDOWNS: Final = 1_000  # of a DAG
ACTS: Final = 20  # what people did to a run by hand, of which a run keeps the newest
CHAIN: Final = 10  # runs of which each waits for the next one, which it has started
CHILDREN: Final = 10_000  # of an expanded task
RUN_CHILDREN: Final = 100_000  # of all expanded tasks of a run together
TAGS: Final = 32  # of a DAG
TAG: Final = 100  # characters
SCHEDULE_BYTES: Final = 4_096  # of a schedule as JSON
HOOKS: Final = 5  # of `on_success`, and of `on_failure`

DAG_BYTES: Final = 64 * 2**20  # of a DAG's file, and of the DAG as its run keeps it
PARAMS_BYTES: Final = 2**20  # of the params of a task, of a DAG or of a run, as JSON
RESULT_BYTES: Final = 65_536  # of a task's result as JSON
HANDLE_BYTES: Final = 65_536  # of what is kept of a remote job while its task is deferred, as JSON
ERROR: Final = 8_000  # characters of a try's error
DEPTH: Final = 100  # levels of objects and lists

LOG_LINE: Final = 16_384  # bytes of a line of a log; the rest of a longer one is left out
LOG_PART: Final = 2**18  # bytes of one piece of a log, as JSON
LOG_HEAD: Final = 2**20  # bytes that are kept of the beginning of a try's log
LOG_TAIL: Final = 2**20  # and of its end
LOGS: Final = 2**28  # bytes of all logs together: beyond them the oldest make way
LOGS_MEMORY: Final = 0.85  # of Redis's `maxmemory`; beyond it the oldest logs make way

WEIGHT: Final = (0.001, 1000.0)
TIMEOUT: Final = (0.1, float(YEAR))  # seconds
DELAY: Final = (0.001, float(YEAR))  # seconds before another try
INTERVAL: Final = (1, YEAR)  # seconds between two due times of a DAG
ACTIVE_RUNS: Final = 1_000  # of a DAG's schedule or of a backfill, at a time
BACKFILL_DATES: Final = 10_000  # due times of a backfill
BACKFILLS: Final = 10_000  # that Redis has: open ones, and ended ones for their retention
RETENTION: Final = (1, 10 * YEAR)  # seconds
HISTORY_DAYS: Final = 36_500
RETRIES: Final = 100
PRIORITY: Final = 1000  # and as much below 0
PROCESSORS: Final = 100_000
SHORT: Final = 0.1  # seconds; a worker's process never goes on with a task that takes longer
HAND: Final = 8  # tasks that a worker's process is handed at once
HAND_SPAN: Final = 0.02  # seconds that these are expected to take together, unless it is one
LEASE: Final = (3.0, 600.0)  # seconds that Redis waits for a worker which it does not hear of

# What the engine's script checks for itself, under the names that it has there.
LUA: Final = {
    "id": ID,
    "group": GROUP,
    "worker": WORKER,
    "tasks": TASKS,
    "queues": QUEUES,
    "acts": ACTS,
    "chain": CHAIN,
    "children": CHILDREN,
    "run_children": RUN_CHILDREN,
    "dag_bytes": DAG_BYTES,
    "params_bytes": PARAMS_BYTES,
    "result_bytes": RESULT_BYTES,
    "handle_bytes": HANDLE_BYTES,
    "error_bytes": 5 * ERROR,  # as UTF-8, with what the script says of a poisoned task
    "depth": DEPTH,
    "tags_bytes": TAGS * (4 * TAG + 10),  # as JSON
    "least_weight": WEIGHT[0],
    "weight": WEIGHT[1],
    "least_timeout": TIMEOUT[0],
    "year": YEAR,
    "retention": RETENTION[1],
    "retries": RETRIES,
    "processors": PROCESSORS,
    "short": round(SHORT * 1e6),  # µs
    "hand": HAND,
    "hand_span": round(HAND_SPAN * 1e6),  # µs
    "least_lease": LEASE[0],
    "lease": LEASE[1],
    "active_runs": ACTIVE_RUNS,
    "backfill_dates": BACKFILL_DATES,
    "backfills": BACKFILLS,
    "schedule_bytes": SCHEDULE_BYTES,
    "log_part": LOG_PART,
    "log_head": LOG_HEAD,
    "log_tail": LOG_TAIL,
    "logs": LOGS,
    "logs_memory": LOGS_MEMORY,
}
