"""Everything that a try writes becomes its log. This is set up once in a process, not for each try.

Descriptors 1 and 2, Python's streams above them and the root logger lead to the process's spool,
from which the lines go to the log of the try that runs. What is written while none runs, and what
Celery and this package log, goes where the worker writes.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import select
import sys
import threading
import time
import warnings
from codecs import getincrementaldecoder
from typing import Any, TextIO

from pydag_dist.dag import limits
from pydag_dist.engine import Held
from workers.pool.output import spools
from workers.pool.output.logs import SENDER, Log, lines_of, log_of
from workers.pool.output.spool import Spool
from workers.pool.output.spool_lines import SpoolParser
from workers.secrecy import masks

log = logging.getLogger(__name__)

_GATHER = 0.02  # seconds in which output gathers in the pipe
_MUCH = 1 << 15  # bytes: if so much was in the pipe, it is looked at again at once
_PARTIAL = 0.5  # seconds after which a line without its end is shown
_FREE_EVERY = 1 << 20  # bytes
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}
_LINES = {**_TEXT, "line_buffering": True, "write_through": False}
_OURS = ("celery", "workers", "pydag_dist", "kombu", "amqp", "billiard", "multiprocessing")


class Capture:
    """The output of one process of the pool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._pid = os.getpid()
        self._lock = threading.RLock()  # of the spool; a signal's handler may log, too
        self._flushing = threading.Lock()
        self._log: Log | None = None
        self._parser = SpoolParser()
        self._freed = 0
        self.is_whole = True  # else this process can't take another try
        self._worker = os.dup(2)  # where the worker writes
        # Of what is written while no try runs: the end, which may be the beginning of a secret.
        self._piece = ""
        self._decoder = getincrementaldecoder("utf-8")("backslashreplace")
        self._libc = ctypes.CDLL(None)
        kept = [stream for stream in (sys.__stdout__, sys.__stderr__) if stream is not None]
        sys.stdout = sys.__stdout__ = _stream(sys.__stdout__, 1)  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = _stream(sys.__stderr__, 2)  # type: ignore[misc]
        self._own_streams = [sys.stdout, sys.stderr]
        self._streams: list[Any] = list({*self._own_streams, *kept})
        os.dup2(spool.write, 1)
        os.dup2(spool.write, 2)
        self._set_up_logging()
        threading.Thread(target=self._keep_moving, name="task-output", daemon=True).start()
        SENDER.add(self)
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_fork,
            after_in_child=self._after_fork,
        )

    def _set_up_logging(self) -> None:
        stream = os.fdopen(self._worker, "w", encoding="utf-8", errors="backslashreplace")
        root = logging.root
        level = root.level
        # Above all of a task's loggers: Celery's `get_task_logger` makes them below its own.
        tops = (root, logging.getLogger("celery.task"))
        for logger in (*tops, *map(logging.getLogger, ("celery", "multiprocessing"))):
            for handler in logger.handlers:
                if isinstance(handler, logging.StreamHandler) and not isinstance(
                    handler, logging.FileHandler
                ):
                    handler.setStream(stream)
                if logger in tops:
                    handler.addFilter(lambda record: self._log is None or _is_ours(record))
        for name in _OURS:
            if logging.getLogger(name).level == logging.NOTSET:
                logging.getLogger(name).setLevel(level)
        for top in tops:
            top.addHandler(_Handler(self))
            top.setLevel(min(level, logging.INFO))

    # The try's main thread:

    def begin(self, held: Held) -> Log:
        """From now on all output is that of a try."""
        if self._spool.is_waiting() or self._piece:
            with self._lock:
                self._give_to_worker(is_last=True)
        self._spool.begin(held)
        self._log = log_of(held)
        # A warning is given once for each line of code; by each try anew.
        warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001
        return self._log

    def hide(self, secrets: list[str]) -> None:
        """From now on these are not shown of what the try writes: `masks` has them, too."""
        with self._lock:
            self._spool.hide(secrets)
            self._parser.masks = masks.of_this_process()

    def end(self) -> None:
        """The try has ended, and what it started: send the rest of its log."""
        log = self._log
        self.is_whole = self._flush_all()
        with self._lock:
            self._move()
            if log is not None and self._spool.size:
                self._read(log)
                for line in self._parser.finish():
                    log.add(*line)
            self._log = None
            self._parser, self._freed = SpoolParser(), 0
        if log is not None and not log.is_new:
            log.close()
        with self._lock:
            self._spool.end()

    def _flush_all(self) -> bool:
        """Write what Python's streams and those of C still have; put descriptors 1 and 2 back."""
        self._flush()
        self._libc.fflush(None)
        try:
            os.dup2(self._spool.write, 1)
            os.dup2(self._spool.write, 2)
            for stream in self._own_streams:
                is_utf8 = stream.encoding == "utf-8"
                if stream.write_through or not (stream.line_buffering and is_utf8):
                    stream.reconfigure(**_LINES)
            return not any(stream.closed for stream in self._own_streams)
        except (OSError, ValueError):  # something was closed
            return False

    def _flush(self) -> None:
        for stream in self._streams:
            try:
                stream.flush()
            except (OSError, ValueError, RuntimeError):
                continue  # closed; or this is a signal's handler in the midst of a write

    def record(self, at: float, level: str, text: str) -> None:
        """A line of `logging`, behind what was printed before it."""
        self._flush()
        with self._lock:
            try:
                self._spool.record(at, level, text)
            except OSError:  # no memory
                return
        SENDER.wake()

    def takes(self) -> bool:
        """Whether a try runs here, and this is not a fork of the process."""
        return self._log is not None and os.getpid() == self._pid

    # The thread that sends:

    def send_waiting(self) -> None:
        """Make lines of what was written since the last time, and send them."""
        if self._log is None:
            return
        with self._flushing:
            self._flush()
        with self._lock:
            if (log := self._log) is None:
                return
            self._move()
            self._read(log)
            for line in self._parser.finish(_PARTIAL):
                log.add(*line)
        log.send_waiting()

    def _read(self, log: Log) -> None:
        """Take lines out of the spool; in a flood of output only count what nobody will see."""
        parser, spool = self._parser, self._spool
        while parser.position < spool.size:
            data = spool.text(parser.position)[: spool.size - parser.position]
            if not data:
                break
            rest = spool.size - parser.position - len(data)
            if rest > 2 * limits.LOG_TAIL and log.is_past_head and b"\n" in data:
                log.skip(*parser.skip(data))
            else:
                for line in parser.feed(data):
                    log.add(*line)
        if parser.position - self._freed > _FREE_EVERY:
            self._freed = parser.position
            spool.free(self._freed)

    # The thread that empties the pipe:

    def _keep_moving(self) -> None:
        poll = select.poll()
        poll.register(self._spool.read, select.POLLIN)
        while poll.poll():
            with self._lock:
                moved = self._move()
            SENDER.wake()
            if moved < _MUCH:
                time.sleep(_GATHER)

    def _move(self) -> int:
        if self._log is None:
            return self._give_to_worker()
        try:
            return self._spool.move()
        except OSError:  # no memory: nobody is to wait for a pipe that is full
            return len(self._spool.discard())

    def _give_to_worker(self, *, is_last: bool = False) -> int:
        data = self._spool.discard()
        moved = len(data)
        if secret := masks.of_this_process():  # of the try before
            text = self._piece + self._decoder.decode(data, is_last)
            text, self._piece = (secret.hide_cut(text), "") if is_last else secret.hide_piece(text)
            data = text.encode(**_TEXT)
        with contextlib.suppress(OSError):
            os.write(self._worker, data)
        return moved

    # A fork of the process, by a task:

    def _before_fork(self) -> None:
        self._flush()
        self._flushing.acquire()
        self._lock.acquire()

    def _after_fork(self) -> None:
        self._lock.release()
        self._flushing.release()


class _Handler(logging.Handler):
    """The root logger's, for what a try logs by any logger."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self._capture = capture

    def emit(self, record: logging.LogRecord) -> None:
        if _is_ours(record):
            return
        if self._capture.takes():
            for text in lines_of(record):
                self._capture.record(record.created, record.levelname, text)
        elif os.getpid() != self._capture._pid:  # noqa: SLF001
            text = "\n".join(lines_of(record))
            os.write(2, f"{record.levelname}: {text}\n".encode(errors="backslashreplace"))

    def close(self) -> None:
        """Do nothing: what `logging.config` closes is needed again after the try."""


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _OURS


def _stream(kept: TextIO | None, number: int) -> Any:
    """Python's stream over a descriptor, which is about to become the pipe.

    That is the stream which modules may have kept, if it is fit. It is not if it was made over a
    file that can be sought, since it can't be reconfigured over a pipe; nor if PYTHONUNBUFFERED
    made it, since such a stream writes the parts of a line one by one.
    """
    with contextlib.suppress(AttributeError, OSError, ValueError):
        kept.reconfigure(**_LINES)  # type: ignore[union-attr]
        is_fit = isinstance(kept.buffer, io.BufferedWriter)  # type: ignore[union-attr]
        if is_fit and kept.fileno() == number and not kept.seekable():  # type: ignore[union-attr]
            return kept
    return open(number, "w", buffering=1, closefd=False, **_TEXT)


_own: Capture | None = None


def start() -> None:
    """In a new process of the pool: everything that it writes goes to its spool from now on."""
    global _own  # noqa: PLW0603  one a process
    if (spool := spools.of_this_process()) is not None:
        _own = Capture(spool)


def own() -> Capture | None:
    """The capture of this process, if it is one of a pool."""
    return _own
