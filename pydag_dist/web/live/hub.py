"""One thread reads what all viewers look at: one XREAD for all runs together."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, TypeVar

import redis
from starlette.concurrency import run_in_threadpool

from pydag_dist.web.live.run_topic import LogTopic, RunTopic
from pydag_dist.web.live.runs_topic import RunsTopic
from pydag_dist.web.live.topic import Topic, frame, with_id
from pydag_dist.web.live.viewer import Viewer, Wire
from pydag_dist.web.problems import Refusal
from pydag_dist.web.site import Site

log = logging.getLogger(__name__)

TICK: Final = 0.1  # seconds: frames are at most ten a second
TELLING: Final = 10  # telling all viewers takes at most this part of the time
BLOCK_MS: Final = 200
AWAY_SECONDS: Final = 1.0
HEARTBEAT: Final = 15.0  # seconds after which a silent stream says that it is there
T = TypeVar("T", bound=Topic)
RETRY: Final = b"retry: 2000\n\n"


class Hub:
    """The topics that somebody looks at, and the thread that keeps them up."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._most = site.web.streams
        self._runs: dict[str, RunTopic] = {}
        self._logs: dict[tuple[str, str], LogTopic] = {}
        self._lists: dict[str, RunsTopic] = {}
        self._streams: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def close(self) -> None:
        """End all streams."""
        self._is_closed = True
        for topic in self._topics():
            topic.is_over = True
            topic.wake()

    def admit(self, who: str) -> None:
        """Count a stream of somebody's; refused if that one has too many."""
        with self._lock:
            if self._streams[who] >= self._most:
                raise Refusal(
                    503,
                    f"{who} has {self._most} live streams already: close some, such as pages",
                    kind="too-many-streams",
                )
            self._streams[who] += 1

    def leave(self, who: str) -> None:
        """A stream has ended."""
        with self._lock:
            self._streams[who] -= 1
            if self._streams[who] <= 0:
                del self._streams[who]

    def run(self, run_id: str, task: str) -> tuple[RunTopic, LogTopic | None]:
        """The topics of a run, and of a task's log if one is named; errors if there is none."""
        with self._lock:
            topic = self._runs.get(run_id)
        if topic is None or topic.is_over:  # it may have been resumed
            new = RunTopic(self._site, run_id)
            new.begin()
            with self._lock:
                there = self._runs.get(run_id)
                topic = self._runs[run_id] = new if there is None or there.is_over else there
        topic.touch()
        lines = None
        if task:
            with self._lock:
                lines = self._logs.get((run_id, task))
            if lines is None or lines.run is not topic:
                read = LogTopic(topic, task)
                read.advance()
                with self._lock:
                    lines = self._logs.get((run_id, task))
                    if lines is None or lines.run is not topic:
                        lines = self._logs[run_id, task] = read
            lines.touch()
        self._start()
        return topic, lines

    def newest(self, dag_id: str) -> RunsTopic:
        """The topic of the newest runs."""
        with self._lock:
            topic = self._lists.get(dag_id)
        if topic is None:
            topic = RunsTopic(self._site, dag_id)
            topic.advance()
            with self._lock:
                topic = self._lists.setdefault(dag_id, topic)
        topic.touch()
        self._start()
        return topic

    def _topics(self) -> list[Topic]:
        with self._lock:
            return [*self._runs.values(), *self._logs.values(), *self._lists.values()]

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="hub", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        is_away = False
        while not self._is_closed:
            began = time.monotonic()
            try:
                if not self.turn(BLOCK_MS):
                    return
            except Exception as error:  # without this thread no stream would go on
                if not is_away:
                    trace = None if isinstance(error, redis.RedisError) else error
                    log.warning("live streams stand still: %s", error, exc_info=trace)
                is_away = True
                time.sleep(AWAY_SECONDS)
                continue
            is_away = False
            pause = max(TICK, TELLING * sum(each.telling_seconds for each in self._topics()))
            time.sleep(max(0.0, pause - (time.monotonic() - began)))

    def turn(self, block_ms: int) -> bool:
        """Look once at all that is looked at; False if that is nothing."""
        with self._lock:
            _forget_idle(self._runs)
            _forget_idle(self._logs)
            _forget_idle(self._lists)
            runs = {name: topic for name, topic in self._runs.items() if not topic.is_over}
            logs, lists = list(self._logs.values()), list(self._lists.values())
            if not (self._runs or logs or lists):
                self._thread = None
                return False
        if runs:
            cursors = {name: topic.cursor for name, topic in runs.items()}
            found = self._site.engine.watching.tail(cursors, block_ms)
            for name, topic in runs.items():
                self._advance(topic, partial(topic.advance, found.get(name, ())))
        else:
            time.sleep(block_ms / 1000)
        for lines in logs:
            self._advance(lines, lines.advance)
        for newest in lists:
            self._advance(newest, newest.advance)
        return True

    def _advance(self, topic: Topic, advance: Callable[[], None]) -> None:
        """Let one topic go on; what is wrong with it stops no other one."""
        try:
            advance()
        except redis.RedisError:
            raise  # all of them wait
        except Exception:
            if not topic.is_failing:
                log.exception("a live stream stands still")
            topic.is_failing = True
        else:
            topic.is_failing = False


def _forget_idle(kept: dict[Any, T]) -> None:
    for name in [name for name, topic in kept.items() if topic.is_idle]:
        del kept[name]


async def follow(
    topic: Topic,
    lines: LogTopic | None,
    last_id: str,
    wire: Wire | None = None,
    is_still_let_in: Callable[[], Awaitable[bool]] | None = None,
) -> AsyncIterator[bytes]:
    """The frames of a stream: those since `last_id` if they are known, else a snapshot first.

    To a `wire` most frames are written by the topic, for all viewers in one go. Ends as soon as
    somebody is no longer let in.
    """
    name, _, log_name = last_id.partition("/")
    viewer = Viewer(topic.place_of(name), None if lines else wire)
    log_place = lines.place_of(log_name) if lines else None
    asked_at = time.monotonic()
    with topic.watched_by(viewer), lines.watched_by(viewer) if lines else nullcontext():
        yield RETRY + (frame("reset", {}) if last_id and viewer.place is None else b"")
        while True:
            is_over = topic.is_over
            if lines and is_over:
                await run_in_threadpool(lines.advance, at_once=True)
            frames, viewer.place = await _next(topic, viewer.place)
            number = f"{topic.id}-{viewer.place}"
            if lines:
                read, log_place = await _next(lines, log_place)
                frames += read
                number += f"/{lines.id}-{log_place}"
            if is_still_let_in and time.monotonic() - asked_at > HEARTBEAT:
                if not await is_still_let_in():
                    return  # the token was taken back: who comes again learns so
                asked_at = time.monotonic()
            if frames:
                yield with_id(frames, number)
                viewer.said_at = time.monotonic()
            elif time.monotonic() - viewer.said_at > HEARTBEAT:
                yield frame("here", {})
                viewer.said_at = time.monotonic()
            if is_over:
                return

            def has_news(place: int | None = log_place) -> bool:
                of_lines = lines is not None and lines.end != place
                return topic.is_over or topic.end != viewer.place or of_lines

            await viewer.wait(has_news, HEARTBEAT)


async def _next(topic: Topic, place: int | None) -> tuple[list[bytes], int]:
    """The frames from that place on, and the place after them; a snapshot if they are gone."""
    if place is not None and (more := topic.after(place)) is not None:
        return more, place + len(more)
    first, following = await run_in_threadpool(topic.all_now)
    # Of a run that is over the last frame says so.
    last = topic.after(following - 1) if topic.is_over else None
    # Who is too slow is told to forget what it has.
    forget = [] if place is None else [frame("reset", {})]
    return [*forget, first, *(last or [])[-1:]], following
