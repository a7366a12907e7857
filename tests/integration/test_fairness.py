"""Shares of a queue's slots, as the engine hands them out; time is simulated, in seconds."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
import redis

from pydag_dist.coordinator.planner import plan
from pydag_dist.dag import Dag
from pydag_dist.engine import End, Held
from tests.support.cluster import dag
from tests.support.engine_bench import Bench, task

SLOTS = 4
WINDOW = 2 * SLOTS
WEIGHTS = {"heavy": 3, "light": 1}


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield Bench(client)


def start(bench: Bench, run: str, weight: int) -> None:
    """A run of many tasks that are all ready."""
    graph = dag([task(f"t{i}") for i in range(400)], weight=weight)
    bench.engine.steering.submit(run, graph.to_json(), "test", weight=weight)
    assert plan(bench.engine, run, Dag.parse(bench.engine.reading.submitted_dag(run)))


class Worker:
    """Takes messages as slots become free; the tasks of a run take as long as `lengths` says."""

    def __init__(self, bench: Bench, lengths: dict[str, int]) -> None:
        self._bench = bench
        self._lengths = lengths
        self._busy: list[tuple[int, int, Held]] = []
        self._processes = set(range(1, SLOTS + 1))
        self._number = itertools.count()
        self.now = 0
        self.used: Counter[str] = Counter()  # run -> slots times time

    def step(self) -> None:
        """Fill the slots, and end the task that ends next."""
        while len(self._busy) < SLOTS:
            process = next(iter(self._processes - {process for _, process, _ in self._busy}))
            self._begin(self._bench.take(process=process), process)
        running = [held.run for _, _, held in self._busy]
        end, process, held = heapq.heappop(self._busy)
        for run in running:
            self.used[run] += end - self.now
        self.now = end
        if following := self.end(held, process):
            self._begin(following, process)

    def _begin(self, held: Held, process: int) -> None:
        heapq.heappush(self._busy, (self.now + self._lengths[held.run], process, held))

    def end(self, held: Held, process: int) -> Held | None:  # noqa: ARG002  for processes that go on
        """End a task; what its process goes on with."""
        self._bench.began(held, self._lengths[held.run])
        self._bench.end(held)
        return None


class GoesOn(Worker):
    """Its processes go on with the next task, ten times of eleven; time is in milliseconds.

    They say how long each task has lasted, and each lasts too long for two in a hand.
    """

    went_on = 0

    def end(self, held: Held, process: int) -> Held | None:
        """End a task; what the process goes on with."""
        working = self._bench.engine.working
        ends = [End(held, "success", lasted=self._lengths[held.run] / 1000)]
        if not next(self._number) % 11:
            working.hand_in(ends, "w", process=process)
            return None
        _, handed = working.run_on(ends, queue="python", worker="w", process=process)
        self.went_on += len(handed)
        return handed[0].held if handed else None


@pytest.mark.parametrize(
    "lengths",
    [{"heavy": 10, "light": 10}, {"heavy": 100, "light": 10}, {"heavy": 10, "light": 100}],
    ids=["alike", "heavy is long", "light is long"],
)
def test_slots_are_shared_by_weight_however_long_tasks_are(
    bench: Bench, lengths: dict[str, int]
) -> None:
    bench.slots(SLOTS)
    for run, weight in WEIGHTS.items():
        start(bench, run, weight)
    worker = Worker(bench, lengths)
    while all(bench.client.exists(f"p:run:{run}:ready") for run in WEIGHTS):
        worker.step()
    assert 2.4 < worker.used["heavy"] / worker.used["light"] < 3.6


@pytest.mark.parametrize(
    "lengths",
    [{"heavy": 15, "light": 15}, {"heavy": 75, "light": 15}, {"heavy": 15, "light": 75}],
    ids=["alike", "heavy is long", "light is long"],
)
def test_processes_that_go_on_share_slots_by_weight(bench: Bench, lengths: dict[str, int]) -> None:
    bench.slots(SLOTS)
    for run, weight in WEIGHTS.items():
        start(bench, run, weight)
    worker = GoesOn(bench, lengths)
    while all(bench.client.exists(f"p:run:{run}:ready") for run in WEIGHTS):
        worker.step()
    assert 2.4 < worker.used["heavy"] / worker.used["light"] < 3.6
    assert worker.went_on > 100


def test_time_in_which_a_run_had_nothing_ready_is_not_saved_up(bench: Bench) -> None:
    bench.slots(SLOTS)
    lengths = dict.fromkeys(WEIGHTS, 10)
    start(bench, "heavy", 1)
    worker = Worker(bench, lengths)
    for _ in range(200):
        worker.step()
    start(bench, "light", 1)
    worker.used.clear()
    for _ in range(100):
        worker.step()
    assert 0.5 < worker.used["light"] / worker.used["heavy"] < 1


def test_five_tasks_do_not_wait_for_10_000_that_were_ready_before(bench: Bench) -> None:
    bench.slots(SLOTS)
    bench.start(*(task(f"t{i}") for i in range(10_000)), run="big")
    bench.start(*(task(f"t{i}") for i in range(5)), run="small")
    taken: list[str] = []
    while taken.count("small") < 5:
        held = bench.take()
        taken.append(held.run)
        bench.end(held)
    # What was in the window, then at most every other one.
    assert taken.count("big") <= WINDOW + 5
