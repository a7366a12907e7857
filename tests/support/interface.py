"""The interface in a browser: a page of it, scripts that look at pages, and DAGs for them."""

from __future__ import annotations

import getpass
import http.server
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"

# What it looks at: everything in the light, in the dark what depends on colours.
RULES = {
    "light": {},
    "dark": {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}},
}
# Only what is wrong: to say where all is that is right takes most of its time.
FIND = """
([part, rules]) => axe
  .run(part ?? document, {resultTypes: ['violations'], selectors: false, ...rules})
  .then((found) => found.violations)
"""

# Where README's pictures go, such as docs/pictures; without it none are made.
PICTURES = os.environ.get("PYDAG_TEST_PICTURES", "")
NAMELESS = """
([user, host]) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const text = walker.currentNode
    if (text.data.includes(host)) {
      text.data = text.data.replaceAll(`${user}@${host}`, 'you@host')
        .replaceAll(`@${host}`, '@host')
    }
  }
}
"""

# Two tasks that take a moment, and one that fails each time.
FAILING = {
    "dag_id": "failing",
    "tasks": [
        {
            "task_id": "fine",
            "operator": "python.call",
            "params": {"callable": "etl:report", "args": ["a", 1]},
        },
        {
            "task_id": "wrong",
            "operator": "python.call",
            "params": {"callable": "etl:report", "args": ["b", "no number"]},
            "dependencies": ["fine"],
        },
        {
            "task_id": "after",
            "operator": "python.call",
            "params": {"callable": "etl:report", "args": ["c"]},
            "dependencies": ["wrong"],
        },
    ],
}

# Published: its task has a template.
NAMED = {
    "dag_id": "named",
    "schedule_interval": "0 3 * * *",
    "params": {"country": "pe"},
    "tasks": [
        {
            "task_id": "load",
            "operator": "python.call",
            "params": {"callable": "etl:report", "args": ["{{ params.country }}_{{ ds }}"]},
        }
    ],
}

# Whatever could be run, turned around or taken for something else.
EVIL = (
    "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>javascript:pwned(1)"
    "\u202egnp.exe\u200b\x1b[31mred\x1b[0m=cmd|'/c calc'!A1 {{ '{{' }} [x](javascript:pwned(1))"
    " 👩\u200d🚀"
)

# What a page of another site can send without being asked for it, and what it can look at.
FOREIGN = """
async (url) => {
  const seen = []
  for (const how of [{mode: 'no-cors', method: 'POST'}, {method: 'POST'}, {}, {mode: 'no-cors'}]) {
    try { seen.push(await (await fetch(url, {credentials: 'include', ...how})).text()) } catch {}
  }
  navigator.sendBeacon(url, '{}')
  const frame = document.createElement('iframe')
  frame.name = 'frame'
  document.body.append(frame)
  const form = document.createElement('form')
  Object.assign(form, {action: url, method: 'POST', target: 'frame'})
  document.body.append(form)
  const loaded = new Promise(done => { frame.onload = done })
  form.submit()
  await loaded
  const shown = document.createElement('iframe')
  const framed = new Promise(done => { shown.onload = done })
  shown.src = url.replace(/\\/api\\/v1|\\/cancel/g, '')
  document.body.append(shown)
  await framed
  seen.push(shown.contentDocument ? shown.contentDocument.body.innerText : '')
  return seen
}
"""

# How often a graph is drawn, at most in one frame.
DRAWN = """
() => {
  const drawn = window.drawn = {frames: 0, draws: 0, most: 0}
  let now = 0
  const clear = CanvasRenderingContext2D.prototype.clearRect
  CanvasRenderingContext2D.prototype.clearRect = function (...where) {
    drawn.draws++
    drawn.most = Math.max(drawn.most, ++now)
    return clear.apply(this, where)
  }
  const frame = () => { drawn.frames++; now = 0; requestAnimationFrame(frame) }
  requestAnimationFrame(frame)
}
"""

# What Tab has to reach. Of a group of radio buttons it is the chosen one.
REACHABLE = """
() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
  .filter(each => each.tabIndex >= 0 && !each.disabled && each.checkVisibility()
    && !(each.type === 'radio' && !each.checked) && !each.closest('.rows > *'))
"""


class Interface:
    """A page of the interface. All that the browser complains of is a failure."""

    def __init__(self, page: Page, web: str) -> None:
        self.page, self.base = page, web.partition("?")[0].rstrip("/")
        self.complaints: list[str] = []
        page.on("pageerror", self._failed)
        page.on("console", self._heard)

    def ended(self) -> list[str]:
        """What the browser has complained of; the page goes on without us."""
        self.page.remove_listener("pageerror", self._failed)
        self.page.remove_listener("console", self._heard)
        return self.complaints

    def _failed(self, error) -> None:
        self.complaints.append(str(error))

    def _heard(self, message) -> None:
        # A DAG that isn't published is asked for, too.
        if message.type == "error" and "404" not in message.text:
            self.complaints.append(message.text)

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)

    def axe(self, *picture: str) -> list[str]:
        """What axe finds on the page, and of colours in the dark, too; a picture of both."""
        found = []
        for scheme in RULES:
            found += [
                f"{scheme} {self.page.url}: {each['id']}: {node['html'][:120]}"
                f" {node['failureSummary'][:300]}"
                for each in found_by_axe(self.page, scheme)
                for node in each["nodes"]
            ]
            for name in picture:
                self.picture(name.format(scheme=scheme))
        self.page.emulate_media(color_scheme="light")
        return found

    def picture(self, name: str) -> None:
        """Keep what is seen, if pictures are wanted; no name of this machine is in them."""
        if PICTURES:
            self.page.evaluate(NAMELESS, [getpass.getuser(), socket.gethostname()])
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png")


def found_by_axe(page: Page, scheme: str, part: str | None = None) -> list[dict[str, Any]]:
    """What axe finds in that colour scheme, on the page or in a part of it."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text() + ";0")
    page.emulate_media(color_scheme=scheme)
    return page.evaluate(FIND, [part, RULES[scheme]])


def big_dag():
    """5,000 tasks: 300 run, of which one fails that 4,700 wait for."""

    def task(name, *args, after=()):
        params = {"callable": "etl:report", "args": list(args)}
        return {
            "task_id": name,
            "operator": "python.call",
            "params": params,
            "dependencies": list(after),
        }

    first = [task(f"load_{i}", "x") for i in range(298)]
    wrong = [task("wrong", "x", "no number", after=["load_7"]), task("gate", "x", 2)]
    rest = [task(f"check_{i}", "x", after=["wrong", "gate"]) for i in range(4_700)]
    return {"dag_id": "big", "tasks": [*first, *wrong, *rest]}


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<body>a page of another site</body>")

    def log_message(self, *_):
        pass


@contextmanager
def foreign_site() -> Iterator[int]:
    """The port of a web site."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
