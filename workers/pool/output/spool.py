"""What a process of the pool writes, between its file descriptors and its try's log.

Descriptors 1 and 2 are a pipe, as programs expect that open /dev/stderr. What is in the pipe is
moved into the spool, a file in memory; by `splice` on Linux, so that at no moment it is in the
memory of the process alone. Records of `logging` are written there between what was printed, so
that all is in order. The parent made both before it forked the process: when that dies, it finds in
them all that is not in Redis yet.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import sys
import tempfile
import termios
import time

from pydag_dist.engine import Held

MARK = b"\0" + os.urandom(12).hex().encode()  # stands before what is not output
TIME, _RECORD = b"t", b"r"
STUCK = 10.0  # seconds after which the parent reads a full pipe that its process does not read
_PIPE = 1 << 18  # bytes
_FULL = 1 << 15  # bytes that wait in a pipe which nobody reads; some systems' pipes hold no more
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of linux/fcntl.h
_PUNCH_HOLE = 3  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE of linux/falloc.h
_PAGE = mmap.PAGESIZE
_SECRETS = 1 << 19  # bytes: as JSON a byte of a secret can become six
_CHUNK = 1 << 20
_CAN_SPLICE = hasattr(os, "splice") and hasattr(os, "memfd_create")


class Spool:
    """The pipe, the file, and the try that writes, of one process of the pool."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        os.set_blocking(self.read, False)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # the user has many pipes
                fcntl.fcntl(self.write, _SET_PIPE_SIZE, _PIPE)
        if _CAN_SPLICE:
            self.file = os.memfd_create("pydag-output")
        else:
            with tempfile.TemporaryFile() as made:
                self.file = os.dup(made.fileno())
        self.size = 0  # of the file
        self._stamped = 0.0
        self._seen = (-1, 0.0)  # by the parent: the size, and since when
        self._label = mmap.mmap(-1, _PAGE)
        self._secrets = mmap.mmap(-1, _SECRETS)  # memory that nobody uses is none
        self._waiting = bytearray(4)

    # In the process:

    def begin(self, held: Held) -> None:
        """From now on it is this try that writes."""
        text = f"{held.run}\n{held.task}\n{held.try_number}\n{held.token}\n".encode()
        self._label[: len(text)] = text

    def end(self) -> None:
        """Nothing of that try is to be looked for any more."""
        self._label[0] = 0
        if length := self._length_of_secrets():
            self._secrets[: 4 + length] = bytes(4 + length)
        if self.size:
            os.ftruncate(self.file, 0)
            self.size = 0

    def hide(self, secrets: list[str]) -> None:
        """Let the parent know what must not be shown of what this try writes, should it die."""
        packed = json.dumps(secrets).encode()
        self._secrets[4 : 4 + len(packed)] = packed
        self._secrets[:4] = len(packed).to_bytes(4, sys.byteorder)

    def _length_of_secrets(self) -> int:
        return int.from_bytes(self._secrets[:4], sys.byteorder)

    def is_waiting(self) -> bool:
        """Whether anything is in the pipe."""
        fcntl.ioctl(self.read, termios.FIONREAD, self._waiting)
        return any(self._waiting)

    def move(self) -> int:
        """Move what is in the pipe into the file; how many bytes."""
        if not self.is_waiting():
            return 0
        now = time.time()
        if abs(now - self._stamped) > 0.001:
            self._stamped = now
            self._append(MARK + TIME + b"%.3f\n" % now)
        moved = -self.size
        with contextlib.suppress(BlockingIOError):
            while self._move():
                pass
        return moved + self.size

    def _move(self) -> int:
        if _CAN_SPLICE:
            count = os.splice(
                self.read, self.file, _CHUNK, offset_dst=self.size, flags=os.SPLICE_F_NONBLOCK
            )
            self.size += count
            return count
        data = os.read(self.read, _CHUNK)
        self._append(data)
        return len(data)

    def record(self, at: float, level: str, text: str) -> None:
        """Put a line of `logging` behind what was written before it."""
        self.move()
        self._append(MARK + _RECORD + json.dumps([at, level, text]).encode() + b"\n")

    def _append(self, data: bytes) -> None:
        self.size += os.pwrite(self.file, data, self.size)

    def discard(self) -> bytes:
        """Take what is in the pipe, at most a chunk."""
        try:
            return os.read(self.read, _CHUNK)
        except BlockingIOError:
            return b""

    def free(self, position: int) -> None:
        """Give the memory of what comes before back."""
        if _CAN_SPLICE:
            whole = position - position % _PAGE
            with contextlib.suppress(AttributeError):
                _fallocate(self.file, _PUNCH_HOLE, 0, whole)

    # In either:

    def held(self) -> Held | None:
        """The try that writes, or wrote when the process died."""
        label = bytes(self._label)
        if label[0] == 0:
            return None
        run, task, number, token, _ = label.split(b"\n", 4)
        return Held(run.decode(), task.decode(), int(number), token.decode())

    def secrets(self) -> list[str]:
        """What must not be shown of what the try writes."""
        length = self._length_of_secrets()
        found: list[str] = json.loads(self._secrets[4 : 4 + length]) if length else []
        return found

    def text(self, start: int) -> bytes:
        """At most a chunk of the file."""
        # Memory for a whole chunk would be mapped, and unmapped, for a few lines.
        return os.pread(self.file, min(_CHUNK, self.size - start), start)

    # In the parent, after the process has died:

    def take_over(self) -> None:
        """Find what it left."""
        self.size = os.fstat(self.file).st_size
        self._stamped = 0.0
        self.move()

    def relieve(self) -> int:
        """In the parent, now and then: read a full pipe that its process has not read for long.

        Otherwise native code that holds Python's lock while it writes would wait for ever. Returns
        how many bytes are lost.
        """
        moved, now = os.fstat(self.file).st_size, time.monotonic()
        is_full = self.is_waiting() and int.from_bytes(self._waiting, sys.byteorder) >= _FULL
        if not is_full or moved != self._seen[0]:
            self._seen = moved, now
        return len(self.discard()) if now - self._seen[1] > STUCK else 0

    def close_write(self) -> None:
        """In the parent, which writes nothing there."""
        if self.write >= 0:
            os.close(self.write)
            self.write = -1

    def close(self) -> None:
        """Close what is open of it."""
        for number in (self.read, self.file):
            os.close(number)
        self.close_write()


def _fallocate(file: int, mode: int, start: int, length: int) -> None:
    if length:
        call = ctypes.CDLL(None).fallocate
        call(file, mode, ctypes.c_int64(start), ctypes.c_int64(length))
