"""A real browser without a window, for tests that look at pages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

# Debian's. The first has no windows, and half of the work.
PROGRAMS = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
PATIENT = 60_000  # ms: a busy machine takes its time to draw a page
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Two names that somebody else's DNS says are this machine.
    "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP rebound.example 127.0.0.1",
]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium, ended with the block; what is expected of a page has a minute to come."""
    expect.set_options(timeout=PATIENT)
    with sync_playwright() as playwright:
        program = next(filter(Path.is_file, PROGRAMS), None)
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()
