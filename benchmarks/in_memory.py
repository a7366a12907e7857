"""No-op tasks on Ray or Dask, in memory, on two processes: run by an interpreter that has them.

``python in_memory.py ray|dask`` reads lines "shape tasks", does them one after the other, and
answers each with a line. Only the standard library and the one that is measured are imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

SLOTS = 2
WIDTH = 100  # tasks of a layer

# Starts a task after others, and waits for some.
Submit = Callable[..., Any]
Wait = Callable[[list[Any]], object]


def noop(*_: object) -> None:
    """Do nothing."""


def work(shape: str, tasks: int, submit: Submit, wait: Wait) -> None:
    """Do so many tasks in one of four shapes, and wait for the last."""
    if shape == "fan-out":
        wait([submit() for _ in range(tasks)])
    elif shape == "fan-in":
        wait([submit(*[submit() for _ in range(tasks)])])
    elif shape == "chain":
        last = submit()
        for _ in range(tasks - 1):
            last = submit(last)
        wait([last])
    else:  # each task of a layer after two of the layer before
        layer = [submit() for _ in range(WIDTH)]
        for _ in range(tasks // WIDTH - 1):
            layer = [submit(layer[i], layer[i - 1]) for i in range(WIDTH)]
        wait(layer)


def with_ray() -> tuple[Submit, Wait]:
    # Its workers are nicer than other processes by default, so that on a busy machine they wait.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  its name
    import ray  # noqa: PLC0415  only one of the two need be there

    ray.init(num_cpus=SLOTS, include_dashboard=False, log_to_driver=False)
    return ray.remote(noop).remote, ray.get


def with_dask() -> tuple[Submit, Wait]:
    from dask import delayed  # noqa: PLC0415
    from distributed import Client, LocalCluster, wait  # noqa: PLC0415

    cluster = LocalCluster(n_workers=SLOTS, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)
    # A graph that is sent at once takes less than `Client.submit` for each task.
    return delayed(noop, pure=False), lambda tasks: wait(client.compute(tasks))


def main() -> None:
    submit, wait = {"ray": with_ray, "dask": with_dask}[sys.argv[1]]()
    work("fan-out", 200, submit, wait)
    print("ready", flush=True)
    for line in sys.stdin:
        shape, tasks = line.split()
        work(shape, int(tasks), submit, wait)
        print("done", flush=True)


if __name__ == "__main__":
    main()
