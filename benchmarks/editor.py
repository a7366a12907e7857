"""What a big file costs in the editor, beside one of two tasks: ``python -m benchmarks.editor``.

A real `pydag web` serves both. Told are a key in the text, until the next frame is drawn, and an
edge that is drawn by the keyboard, until the frame that has it: by then the server has made the
change of the text. Both files take turns in one browser, and the ratios are those of the medians.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

from benchmarks.interface import CHROMIUM, VIEWPORT, dag_of
from benchmarks.processes import Program
from benchmarks.viewers import free_port
from tests.support.redis_server import RedisServer, server_binary

SIZES = (2, 5_000)
ROUNDS = 9
WAITED_FOR = 100  # tasks, by one, at most
PATIENCE = 60_000  # ms
CALM = 1_500  # ms, in which what was done before is checked
KEY = """
() => new Promise(done => {
  const began = performance.now()
  document.execCommand('insertText', false, ' ')
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)))
})
"""
EDGE = """
() => new Promise(done => {
  setTimeout(() => done(NaN), 20_000)
  const said = document.querySelector('.graph-view > [aria-live]')
  const began = performance.now()
  new MutationObserver((_, observer) => {
    observer.disconnect()
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)))
  }).observe(said, { childList: true, characterData: true, subtree: true })
  document.querySelector('.graph').dispatchEvent(
    new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
})
"""


def text_of(count: int) -> str:
    """A file of so many tasks, the last of which waits for many of them."""
    names, upstream = dag_of(count) if count > 2 else (["start", "end"], [[], []])
    tasks = [
        {
            "task_id": name,
            "operator": "bigquery.query",
            "params": {"sql": f"CREATE OR REPLACE TABLE shop.{name} AS SELECT '{{{{ ds }}}}' AS d"},
            "dependencies": [names[each] for each in those[:WAITED_FOR]],
        }
        for name, those in zip(names, upstream, strict=True)
    ]
    return json.dumps({"dag_id": f"tasks_{count}", "tasks": tasks}, indent=2)


def key(page: Page) -> float:
    """Milliseconds until a key is seen in the text."""
    page.locator(".code-of-file .cm-line").nth(2).click()
    page.keyboard.press("End")
    page.wait_for_timeout(CALM)
    return float(page.evaluate(KEY))


def edge(page: Page) -> tuple[float, float]:
    """Milliseconds until an edge from the first task to the last one is drawn, or is gone.

    And those of CPU that the page's main thread has used for it.
    """
    page.locator(".code-of-file .cm-line").nth(4).click()
    page.locator(".graph").focus()
    page.keyboard.press("d")
    said = page.locator(".graph-view > [aria-live]")
    for press in ["ArrowRight", "ArrowDown"] * 6:
        if said.inner_text().startswith("end: "):
            break
        page.keyboard.press(press)
        page.wait_for_timeout(50)
    else:
        raise AssertionError("the arrow keys lead nowhere")
    page.wait_for_timeout(CALM)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _cpu(session)
    took = float(page.evaluate(EDGE))
    return took, _cpu(session) - before


def _cpu(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))


def measure(
    page: Page, base: str, size: int
) -> tuple[Page, list[float], list[tuple[float, float]]]:
    page.goto(f"{base}/edit/tasks_{size}.json")
    page.get_by_role("status").get_by_text("No problems").wait_for(timeout=PATIENCE)
    return page, [], []


def told(what: str, found: Sequence[Sequence[float]]) -> None:
    few, many = (statistics.median(each) for each in found)
    print(
        f"{what:24} {few:7.1f} ms with {SIZES[0]} tasks, {many:7.1f} ms with {SIZES[1]:,}: "
        f"{many / few:5.1f} times, {max(found[1]):7.1f} ms at most",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.editor")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory(prefix="pydag-bench-") as temporary,
        RedisServer(server_binary("valkey"), Path(temporary) / "redis") as redis,
        sync_playwright() as playwright,
    ):
        directory = Path(temporary)
        files = directory / "files"
        files.mkdir()
        for size in SIZES:
            (files / f"tasks_{size}.json").write_text(text_of(size))
        port = free_port()
        environment = {"PYDAG_REDIS_URL": redis.url, "PYDAG_HOME": str(directory / "home")}
        command = ("pydag_dist", "web", "--port", str(port), "--files", str(files))
        with Program(directory / "web.log", *command, environment=environment) as web:
            web.wait_for("?key=")
            [address] = re.findall(r"http://\S+\?key=\S+", (directory / "web.log").read_text())
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            context = browser.new_context(viewport=VIEWPORT)
            context.new_page().goto(address)
            base = address.partition("?")[0].rstrip("/")
            pages = [measure(context.new_page(), base, size) for size in SIZES]
            for _ in range(rounds):
                for page, keys, edges in pages:
                    page.bring_to_front()
                    keys.append(key(page))
                    edges.append(edge(page))
            told("a key", [keys for _, keys, _ in pages])
            told("an edge", [[wall for wall, _ in edges] for _, _, edges in pages])
            told("an edge, CPU of the page", [[used for _, used in edges] for _, _, edges in pages])
            browser.close()


if __name__ == "__main__":
    main()
