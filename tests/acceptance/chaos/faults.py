"""The kinds of faults. Each is a generator: it does something, and yields how long to wait.

A fault that can't be committed just now raises `NotNow` before it has done anything.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from tests.acceptance.chaos.dags import random_dag
from tests.acceptance.chaos.system import System, Try, try_of
from tests.faults.faulty_server import NO_LIBRARY, faketime
from tests.support.cluster import Part

Steps = Iterator[float]

PAUSES = (18, 25)  # seconds: longer than a lease
AWAY = 40  # seconds
LATELY = 45  # seconds
# Were Redis away all the time, only that would be seen; sometimes it is away again meanwhile.
REDIS_RESTS = 50  # seconds
RESTLESS = 0.25  # of the faults of Redis
UNWRITTEN = 2.0  # seconds that Redis keeps writes from its file at most, while the disk is busy
REFUSES = 8  # seconds
CUT = (5, 40)  # seconds
STEPS = (3600, 7200)  # seconds
STALE_COPIES = 10
POOL_STARTS = 10  # seconds


class NotNow(Exception):
    """There is nothing that this fault could be committed on."""


@dataclass
class Fault:
    """A fault, and all that judging what it may cost needs."""

    number: int
    kind: str
    at: float  # this machine's clock, as all times
    what: str = ""
    touched: list[Try] = field(default_factory=list)  # what has to move on
    unplanned: str = ""  # a run that has to be planned
    left: list[Try] = field(default_factory=list)
    recovered_after: float | None = None  # seconds
    overtaken: bool = False  # another fault befell all that it had touched
    after_outage: bool = False  # Redis had just been away
    processes: frozenset[int] = frozenset()  # whose tries may run again
    until: float = 0  # when paused processes went on, or Redis with its lost writes
    lost_writes_since: float | None = None
    lost: tuple[float, float] | None = None  # from and until when, by the server's clock
    refused_until: float = 0  # from when on Redis, that was away or refused writes, took them again
    over: bool = False

    def __str__(self) -> str:
        took = (
            ""
            if self.recovered_after is None
            else f", recovered after {self.recovered_after:.1f} s"
        )
        return f"{self.number:3} {self.kind}: {self.what}, {len(self.touched)} tries{took}"


@dataclass(frozen=True)
class Scene:
    """What a kind of fault works with."""

    system: System
    chance: random.Random
    fault: Fault
    earlier: list[Fault]  # not recovered from yet

    def touch(self, tries: list[Try]) -> None:
        """Tries that the fault befalls now; what befell them before is no longer to be measured."""
        self._touch(tries)
        again = {t.key for t in tries}
        for fault in self.earlier:
            fault.left = [t for t in fault.left if t.key not in again]
            fault.overtaken |= bool(fault.touched) and not fault.left
        last = max(self.system.redis_changes, default=0)
        self.fault.after_outage = self.fault.at - last < LATELY

    def touch_all(self) -> None:
        """All that is held, but for what an earlier fault has lost: that takes longer now."""
        lost = {t.key for fault in self.earlier for t in fault.left}
        self._touch([t for t in self.held() if t.key not in lost])
        for fault in self.earlier:
            fault.after_outage = True

    def _touch(self, tries: list[Try]) -> None:
        self.fault.at = time.time()
        self.fault.touched = self.fault.left = tries

    def held(self) -> list[Try]:
        return self.system.held() or []


def _worker(scene: Scene) -> Part:
    """A worker that runs something, if there is one, and that no other fault has in hand."""
    workers = scene.system.at_hand(scene.system.workers)
    busy = {t.worker for t in scene.held()}
    workers = [part for part in workers if part.name in busy] or workers
    if not workers:
        raise NotNow
    return scene.chance.choice(workers)


def kill_child(scene: Scene) -> Steps:
    """Kill -9 a process of a worker's pool, one that runs a task if there is one."""
    worker = _worker(scene)
    if time.time() - worker.started_at < POOL_STARTS:
        raise NotNow  # Celery ends a worker that loses a process while it starts
    children = scene.system.children(worker)
    running = [t for t in scene.held() if t.process in children]
    # The third death of one try would be its last: that is another test.
    hit = {t.key for t in scene.system.killed}
    running = [t for t in running if t.key not in hit]
    if running:
        victim = scene.chance.choice(running)
        process, tries = victim.process, [victim]
    elif children:
        process, tries = scene.chance.choice(children), []
    else:
        raise NotNow
    scene.system.killed += tries
    scene.fault.what = f"{process} of {worker.log.name}"
    scene.fault.processes = frozenset([process])
    scene.touch(tries)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    yield 0


def kill_parent(scene: Scene) -> Steps:
    """Kill -9 a worker; its pool goes with it. It, or one of another name, comes later."""
    worker = _worker(scene)
    name = scene.chance.choice([worker.name, scene.system.new_name()])
    scene.fault.what = f"{worker.log.name}, then {name}"
    scene.fault.processes = frozenset([worker.pid, *worker.children()])
    scene.touch([t for t in scene.held() if t.worker == worker.name])
    scene.system.kill(worker, scene.chance.uniform(0, 10), name)
    yield 0


def kill_coordinator(scene: Scene) -> Steps:
    """Kill -9 a coordinator just after a run was submitted."""
    coordinators = scene.system.at_hand(scene.system.coordinators)
    if not coordinators:
        raise NotNow
    victim = scene.chance.choice(coordinators)
    run = scene.system.submit(random_dag(scene.chance, f"by-fault-{scene.fault.number}"))
    scene.fault.what = victim.log.name
    scene.fault.unplanned = run.run_id
    scene.touch([])
    scene.system.kill(victim, scene.chance.uniform(0, 5))
    yield 0


def _pause(
    scene: Scene, worker: Part, processes: list[int], what: str, *, lease_is_lost: bool = True
) -> Steps:
    scene.fault.what = f"{what} of {worker.log.name}"
    if lease_is_lost:
        scene.fault.processes = frozenset(processes)
    scene.fault.until = float("inf")
    tries = [t for t in scene.held() if t.worker == worker.name]
    scene.touch([t for t in tries if worker.pid in processes or t.process in processes])
    scene.system.out_of_hand.add(worker.log.name)
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    yield scene.chance.uniform(*PAUSES)
    for process in reversed(processes):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)
    scene.fault.until = time.time()
    scene.system.out_of_hand.discard(worker.log.name)


def pause_parent(scene: Scene) -> Steps:
    """Stop a worker's parent for longer than its leases last; its pool goes on."""
    worker = _worker(scene)
    return _pause(scene, worker, [worker.pid], "the parent")


def pause_child(scene: Scene) -> Steps:
    """Stop a process of a pool that runs a task; its parent renews the lease."""
    worker = _worker(scene)
    children = scene.system.children(worker)
    running = [t.process for t in scene.held() if t.process in children]
    if not (running or children):
        raise NotNow
    child = scene.chance.choice(running or children)
    return _pause(scene, worker, [child], "a child", lease_is_lost=False)


def pause_worker(scene: Scene) -> Steps:
    """Stop a worker with its pool, as a host that is suspended."""
    worker = _worker(scene)
    return _pause(scene, worker, [worker.pid, *worker.children()], "everything")


def pause_coordinator(scene: Scene) -> Steps:
    """Stop a coordinator for longer than what it holds is kept for it; then it goes on."""
    coordinators = scene.system.at_hand(scene.system.coordinators)
    if not coordinators:
        raise NotNow
    victim = scene.chance.choice(coordinators)
    return _pause(scene, victim, [victim.pid], "everything", lease_is_lost=False)


def _without_redis(scene: Scene) -> Callable[[], None]:
    """Check that no other fault has Redis in hand; what gives it back."""
    system = scene.system
    rests = time.time() - max(system.redis_changes, default=0) < REDIS_RESTS
    if (
        system.redis_in_hand
        or not system.redis_is_up
        or (rests and scene.chance.random() > RESTLESS)
    ):
        raise NotNow
    system.redis_in_hand = True

    def give_back() -> None:
        system.redis_in_hand = False

    return give_back


def _until_written(scene: Scene) -> Steps:
    while not scene.system.takes_writes():
        yield 0.1
    scene.fault.refused_until = time.time()


def _redis_away(scene: Scene, seconds: float) -> Steps:
    give_back = _without_redis(scene)
    scene.fault.what = f"{seconds:.1f} s"
    scene.touch_all()
    lost_since = scene.system.server_time() - UNWRITTEN
    if scene.system.writes_late():
        scene.fault.what += " with writes that its file lacks"
        scene.fault.lost_writes_since = time.time() - UNWRITTEN
        scene.fault.until = float("inf")
    scene.system.kill_redis()
    yield seconds
    scene.system.start_redis()
    if scene.fault.lost_writes_since is not None:
        scene.fault.until = time.time()
        scene.fault.lost = lost_since, max(lost_since, scene.system.server_time())
    yield from _until_written(scene)
    give_back()


def kill_redis(scene: Scene) -> Steps:
    """Kill -9 Redis, and start it again soon."""
    return _redis_away(scene, scene.chance.uniform(0, 3))


def redis_away(scene: Scene) -> Steps:
    """Kill -9 Redis, and start it again after all have waited for it."""
    return _redis_away(scene, AWAY)


def _rolled_back(scene: Scene, seconds: float) -> Steps:
    give_back = _without_redis(scene)
    scene.fault.what = f"{seconds:.0f} s"
    scene.fault.lost_writes_since = time.time()
    scene.fault.until = float("inf")
    lost_since = scene.system.server_time()
    copy = scene.system.copy_redis()
    yield seconds
    scene.system.kill_redis()
    scene.system.put_back(copy)
    scene.system.start_redis()
    scene.touch_all()  # as Redis believes it now
    scene.fault.until = time.time()
    # Its clock may have stepped meanwhile.
    begin, end = sorted([lost_since, scene.system.server_time()])
    scene.fault.lost = begin, end
    yield from _until_written(scene)
    give_back()


def roll_back_1(scene: Scene) -> Steps:
    """Restart Redis from its file as it was a second before, as after a failover."""
    return _rolled_back(scene, 1)


def roll_back_5(scene: Scene) -> Steps:
    """Restart Redis from its file as it was five seconds before."""
    return _rolled_back(scene, 5)


def wipe(scene: Scene) -> Steps:
    """Kill -9 Redis, and start it with nothing: all that is left is the history."""
    give_back = _without_redis(scene)
    with scene.system.if_redis_can():
        scene.fault.what = "all"
        scene.fault.lost_writes_since = scene.system.written_until()
        scene.fault.until = float("inf")
        scene.touch_all()
        scene.system.kill_redis()
        scene.system.wipe()
        yield 1
        scene.system.start_redis()
        scene.fault.until = time.time()
        yield from _until_written(scene)
    give_back()


def drop_messages(scene: Scene) -> Steps:
    """Take all messages off the queues' lists."""
    system = scene.system
    with system.if_redis_can():
        tries = []
        for queue in {queue for queue, _ in system.messages()}:
            with system.store.pipeline(transaction=True) as pipe:
                pipe.lrange(system.queue(queue), 0, -1)
                pipe.delete(system.queue(queue))
                tries += [try_of(message) for message in pipe.execute()[0]]
        if tries:
            scene.fault.what = f"{len(tries)} messages"
            scene.touch([t for t in tries if t])
            yield 0
            return
    raise NotNow


def copy_messages(scene: Scene) -> Steps:
    """Put the messages that wait onto their lists again, and old ones, in front and behind."""
    system = scene.system
    with system.if_redis_can():
        waiting = system.messages()
        old = list(system.old_messages)
        copies = waiting + scene.chance.sample(old, min(len(old), STALE_COPIES))
        if waiting:
            scene.fault.what = f"{len(copies)} messages"
            scene.touch([t for _, message in waiting if (t := try_of(message))])
            for queue, message in copies:
                push = scene.chance.choice([system.store.rpush, system.store.lpush])
                push(system.queue(queue), message)
            yield 0
            return
    raise NotNow


def _refusing(scene: Scene, begin: Callable[[], object], end: Callable[[], object]) -> Steps:
    """Redis is there and refuses every write for a while; who asks has to ask again."""
    give_back = _without_redis(scene)
    scene.fault.what = f"{REFUSES} s"
    scene.touch_all()
    begin()
    scene.system.redis_refuses(True)
    yield REFUSES
    end()
    yield from _until_written(scene)  # a disk that has room again Redis notices by and by
    scene.system.redis_refuses(False)
    give_back()


def demoted(scene: Scene) -> Steps:
    """Make Redis the replica of a server that isn't there, as a failover does to the old one."""
    store = scene.system.store
    begin = lambda: store.replicaof("127.0.0.1", "1")  # noqa: E731  nobody listens there
    return _refusing(scene, begin, lambda: store.replicaof("NO", "ONE"))


def no_replicas(scene: Scene) -> Steps:
    """Let Redis want a replica that it has lost."""
    set_ = scene.system.store.config_set
    begin = lambda: set_("min-replicas-to-write", 1)  # noqa: E731
    return _refusing(scene, begin, lambda: set_("min-replicas-to-write", 0))


def disk_full(scene: Scene) -> Steps:
    """Let no file of Redis grow any more: it refuses writes as soon as it has noticed."""
    server = scene.system.server
    return _refusing(scene, server.fill_disk, server.free_disk)


def link_cut(scene: Scene) -> Steps:
    """Lose all that a worker or a coordinator and Redis send each other, and close nothing."""
    system = scene.system
    if scene.chance.random() < 0.75:
        part = _worker(scene)
        processes = [part.pid, *part.children()]
        tries = [t for t in scene.held() if t.worker == part.name]
    else:
        coordinators = system.at_hand(system.coordinators)
        if not coordinators:
            raise NotNow
        part, processes, tries = scene.chance.choice(coordinators), [], []
    seconds = scene.chance.uniform(*CUT)
    scene.fault.what = f"{part.log.name} for {seconds:.0f} s"
    scene.fault.processes = frozenset(processes)
    scene.fault.until = float("inf")
    scene.touch(tries)
    system.out_of_hand.add(part.log.name)
    link = system.link_of(part)
    link.cut()
    yield seconds
    link.heal()
    scene.fault.until = time.time()
    system.out_of_hand.discard(part.log.name)


def clock_step(scene: Scene) -> Steps:
    """Set the server's clock one or two hours back or on."""
    server = scene.system.server
    if faketime() is None or not scene.system.redis_is_up:
        raise NotNow
    step = scene.chance.choice([-1, 1]) * scene.chance.uniform(*STEPS)
    if abs(server.offset + step) > STEPS[1]:
        step = -step
    scene.fault.what = f"by {step:.0f} s"
    scene.touch([])
    server.set_clock(server.offset + step)
    yield 0


Kind = Callable[[Scene], Steps]

# How often each kind is drawn, in proportion.
KINDS: dict[Kind, int] = {
    kill_child: 8,
    kill_parent: 8,
    kill_coordinator: 4,
    pause_parent: 4,
    pause_child: 4,
    pause_worker: 4,
    kill_redis: 1,
    redis_away: 1,
    roll_back_1: 1,
    roll_back_5: 1,
    wipe: 1,
    drop_messages: 4,
    copy_messages: 4,
    demoted: 1,
    no_replicas: 1,
    disk_full: 1,
    link_cut: 4,
    clock_step: 2,
}
# Drawn only if it is named.
IF_NAMED: dict[Kind, int] = {pause_coordinator: 4}


def left_out() -> dict[str, str]:
    """The kinds of faults that this machine can't commit, and why."""
    return {} if faketime() else {clock_step.__name__: NO_LIBRARY}


def order(
    count: int, chance: random.Random, only: Collection[str] = (), without: Collection[str] = ()
) -> list[Kind]:
    """So many kinds in random order, each as often as `KINDS` says and once if possible."""
    known = {**KINDS, **IF_NAMED} if only else KINDS
    kinds = [
        kind
        for kind in known
        if (not only or kind.__name__ in only) and kind.__name__ not in without
    ]
    shares = [kind for kind in kinds for _ in range(known[kind])]
    drawn = kinds if count >= len(kinds) else chance.sample(kinds, count)
    rounds, rest = divmod(count - len(drawn), len(shares))
    drawn = drawn + shares * rounds + chance.sample(shares, rest)
    chance.shuffle(drawn)
    return drawn
