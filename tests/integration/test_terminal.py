"""A run watched in a real terminal: it fits, says why it stands still, and Ctrl-C works."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from pydag_dist import Client, Dag

CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A process with a terminal of its own; as a context it ends with it."""

    def __init__(self, arguments, columns, lines, **env):
        self.screen, inside = os.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        given = {
            name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}
        }
        command = [sys.executable, "-m", "pydag_dist", *arguments]
        # A shell lets what it starts in the background ignore Ctrl-C, and that is inherited.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.process = subprocess.Popen(
                command,
                stdin=inside,
                stdout=inside,
                stderr=inside,
                env=given | {"TERM": "xterm-256color"} | env,
            )
        finally:
            signal.signal(signal.SIGINT, before)
        os.close(inside)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.screen)

    def until(self, text, timeout=60):
        """Read until it shows that text; all since the last call."""
        began, deadline = len(self.text), time.monotonic() + timeout
        while text not in CODES.sub("", self.text[began:]):
            assert time.monotonic() < deadline, self.text
            if select.select([self.screen], [], [], 0.5)[0]:
                try:
                    self.text += os.read(self.screen, 65536).decode()
                except OSError:  # the process has ended
                    raise AssertionError(f"not shown: {text!r} in {self.text!r}") from None
        return CODES.sub("", self.text[began:])


def test_a_run_that_nobody_plans_is_watched_and_left(redis_url):
    tasks = [
        {"task_id": f"t{i:03}", "operator": "python.call", "params": {"callable": "etl:step"}}
        for i in range(500)
    ]
    run = Client(redis_url).submit(Dag.parse({"dag_id": "d", "tasks": tasks}))
    with Terminal(["status", "d@last", "--wait"], 80, 24, PYDAG_REDIS_URL=redis_url) as terminal:
        shown = terminal.until("not shown: 481 none").splitlines()
        assert max(map(len, shown)) <= 80
        assert sum(bool(line.strip()) for line in shown) <= 23
        assert "0/500 tasks" in shown[1]
        shown = terminal.until("of the version that submitted it")
        assert f"run {run.id} waits for a coordinator" in " ".join(shown.split())
        terminal.process.send_signal(signal.SIGINT)
        told = terminal.until("stops it")
        assert f"`pydag watch {run.id}`" in "".join(told.split("\r\n"))
        assert terminal.process.wait(30) == 130
        # The cursor is there again, below what was shown.
        assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
        assert run.state == "queued"
