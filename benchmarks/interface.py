"""What the web interface costs a browser, beside React Flow: ``python -m benchmarks.interface``.

A run of N tasks is served by this process as `pydag web` serves it, so that only the browser is
measured: bytes of the first visit, when the graph is there, and frames a second while the whole
graph is moved, while 500 tasks a second change, and while it is moved near by. Up to 5,000 tasks
React Flow gets the same DAG and positions, after it in the same browser, and the ratios are told.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright import sync_api
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from benchmarks import react_flow

STATIC = Path(__file__).parents[1] / "pydag_dist" / "web" / "static"
SIZES = (60, 500, 5_000, 50_000)
CHROMIUM = "/usr/bin/chromium"
VIEWPORT: ViewportSize = {"width": 1280, "height": 800}
STATES = ["none", "ready", "queued", "running", "success", "failed"]
CHANGES = 50  # in each of ten frames a second
WIDTH = 50
SECONDS = 4
NOW = time.time()

# Frames that were drawn, and the longest pause between two of them, while `move` is done in each.
MEASURE = """
([seconds, how]) => new Promise(done => {
  const graph = document.querySelector('.graph')
  const { x, y, width, height } = graph.getBoundingClientRect()
  const at = (type, dx) => graph.dispatchEvent(new PointerEvent(type, {
    bubbles: true, pointerId: 1, clientX: x + width / 2 + dx, clientY: y + height / 2, buttons: 1}))
  const times = []
  if (how === 'move') at('pointerdown', 0)
  const frame = now => {
    times.push(now)
    if (how === 'move') at('pointermove', 80 * Math.sin(times.length / 20))
    if (now - times[0] < seconds * 1000) return requestAnimationFrame(frame)
    if (how === 'move') at('pointerup', 0)
    const gaps = times.slice(1).map((time, i) => time - times[i])
    done([(times.length - 1) / ((now - times[0]) / 1000), Math.max(...gaps)])
  }
  requestAnimationFrame(frame)
})
"""


def dag_of(count: int) -> tuple[list[str], list[list[int]]]:
    """Names and upstream tasks of about `count` tasks: batches that fan out and come together."""
    names, upstream = ["start"], [[]]
    batch = 0
    while len(names) < count - 1:
        batch += 1
        names.append(f"list_{batch}")
        upstream.append([0])
        listed = len(names) - 1
        for i in range(min(WIDTH, (count - len(names)) // 2 or 1)):
            names.append(f"load_{batch}_{i}")
            upstream.append([listed])
            names.append(f"check_{batch}_{i}")
            upstream.append([len(names) - 2])
    names.append("end")
    upstream.append(list(range(3, len(names) - 1, 2)))
    return names, upstream


def columns(names: list[str], state: int) -> dict[str, Any]:
    """Tasks as the API tells them, all in one state."""
    many = len(names)
    started: list[float | None] = [NOW - 60 if state > 2 else None] * many
    return {
        "states": STATES, "workers": ["worker-1@host"], "task": names, "state": [state] * many,
        "try_number": [1] * many, "ready_at": [NOW - 70] * many, "queued_at": [NOW - 65] * many,
        "started_at": started, "ended_at": [NOW - 1 if state > 3 else None] * many,
        "worker": [0] * many,
    }  # fmt: skip


class Served:
    """One run, and the frames of its stream."""

    def __init__(self, count: int) -> None:
        self.names, self.upstream = dag_of(count)
        self.changes = False
        self.run = {
            "run_id": "bench", "dag_id": "bench", "state": "running", "submitted_at": NOW - 90,
            "started_at": NOW - 80, "ended_at": None, "round_at": NOW - 80, "spent": 0, "rounds": 1,
            "submitted_by": "bench", "logical_date": None, "run_type": None, "version": None,
            "took": 80, "reason": None, "error": None, "total": len(self.names), "counts": {},
            "bytes_billed": None, "params": {}, "tags": [], "acts": [], "dag_hash": "h",
            "place": "redis",
        }  # fmt: skip

    def answer(self, path: str) -> Any:
        many = len(self.names)
        if path.endswith("/graph"):
            return {
                "dag_id": "bench", "dag_hash": "h", "operators": ["python.call"], "queues": ["q"],
                "task": self.names, "operator": [0] * many, "queue": [0] * many,
                "upstream": self.upstream, "expand": [], "branch": [], "teardown_of": [],
            }  # fmt: skip
        answers: dict[str, Any] = {
            "me": {"user": "bench", "role": "admin", "mode": "local", "version": "", "prefix": "",
                   "history": True, "now": NOW},
            "bench": self.run,
            "tasks": columns(self.names, 0),
            "durations": {"durations": {}},
            "why": {"reasons": []},
        }  # fmt: skip
        return answers[path.rpartition("/")[2]]

    def frames(self) -> Iterator[bytes]:
        yield self._frame("snapshot", {"run": self.run, "tasks": columns(self.names, 0)})
        place = 0
        while True:
            time.sleep(0.1)
            if self.changes:
                some = [self.names[(place + i) % len(self.names)] for i in range(CHANGES)]
                state = 3 + place // len(self.names) % 3
                yield self._frame("changes", columns(some, state))
                place += CHANGES

    @staticmethod
    def _frame(kind: str, data: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def handler_of(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.endswith("/events"):
                self._head("text/event-stream")
                try:
                    for frame in served.frames():
                        self.wfile.write(frame)
                except OSError:
                    return
            elif path.startswith("/api/"):
                self._head("application/json")
                self.wfile.write(json.dumps(served.answer(path)).encode())
            elif path.startswith("/static/"):
                kind = "text/css" if path.endswith(".css") else "text/javascript"
                self._head(kind)
                self.wfile.write((STATIC / path.rpartition("/")[2]).read_bytes())
            else:
                self._head("text/html")
                self.wfile.write((STATIC / "index.html").read_bytes())

        def _head(self, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def measure(page: Page, served: Served, port: int) -> dict[str, Any]:
    began = time.perf_counter()
    page.goto(f"http://127.0.0.1:{port}/runs/bench")
    page.locator(".graph canvas").wait_for()
    page.get_by_text("task", exact=False).first.wait_for()
    page.evaluate("() => new Promise(requestAnimationFrame)")
    ready = time.perf_counter() - began
    boxes = page.locator(".tools .faint").inner_text()
    whole = page.evaluate(MEASURE, [SECONDS, "move"])
    served.changes = True
    changing = page.evaluate(MEASURE, [SECONDS, "watch"])
    served.changes = False
    for _ in range(12):
        page.get_by_role("button", name="Larger").click()
    near = page.evaluate(MEASURE, [SECONDS, "move"])
    nodes = page.evaluate("document.querySelectorAll('*').length")
    return {
        "ready_s": ready, "frames_whole": whole[0], "frames_changing": changing[0], "nodes": nodes,
        "frames_near": near[0], "longest_pause_ms": max(whole[1], near[1]), "drawn": boxes,
    }  # fmt: skip


def told(what: str, found: dict[str, Any]) -> None:
    values = (f"{n} {v:.3g}" if isinstance(v, float) else f"{n} {v}" for n, v in found.items())
    print(f"  {what:12} {', '.join(values)}", flush=True)


def beside(browser: Browser, folder: Path, served: Served, ours: dict[str, Any]) -> None:
    """What React Flow takes for the same, and how many times better ours is."""
    page = browser.new_page(viewport=VIEWPORT)
    try:
        theirs = react_flow.measure(page, folder, served.names, served.upstream, SECONDS)
    except sync_api.TimeoutError:
        print(f"  React Flow   is not ready after {react_flow.PATIENCE} s", flush=True)
        return
    finally:
        page.close()
    told("React Flow", theirs)
    ratios = {
        "ready_s": theirs["ready_s"] / ours["ready_s"],
        "frames_whole": ours["frames_whole"] / theirs["frames_whole"],
        "frames_changing": ours["frames_changing"] / theirs["frames_changing"],
        "nodes": theirs["nodes"] / ours["nodes"],
    }
    told("times better", ratios)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interface")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="TASKS")
    arguments = parser.parse_args()
    files = [
        file.read_bytes() for file in STATIC.iterdir() if file.suffix in {".js", ".css", ".html"}
    ]
    sent = sum(map(len, files)), sum(len(gzip.compress(file)) for file in files)
    print(f"first visit: {sent[0]:,} bytes, {sent[1]:,} compressed")
    with (
        tempfile.TemporaryDirectory(prefix="pydag-bench-") as temporary,
        sync_playwright() as playwright,
    ):
        react_flow.bundle(Path(temporary))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for size in arguments.sizes:
            served = Served(size)
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(served))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            page = browser.new_page(viewport=VIEWPORT)
            ours = measure(page, served, server.server_port)
            page.close()
            print(f"{len(served.names):,} tasks", flush=True)
            told("ours", ours)
            if size <= react_flow.MOST:
                beside(browser, Path(temporary), served, ours)
            server.shutdown()
        browser.close()


if __name__ == "__main__":
    main()
