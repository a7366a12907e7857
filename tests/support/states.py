"""The table of transitions in table.lua, and the diagrams in docs/states.md that are drawn from it.

`python -m tests.support.states` draws them anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydag_dist.engine.protocol import ENDED_RUN_STATES, ENDED_TASK_STATES

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "pydag_dist" / "engine" / "lua" / "table.lua"
PAGE = ROOT / "docs" / "states.md"
ANY = "*"  # in the place of a state

_BLOCK = re.compile(r"```mermaid\n.*?```", re.DOTALL)


@dataclass(frozen=True)
class Transition:
    """What happens, and the states before and after."""

    what: str
    before: str
    after: str


def transitions(of: str) -> list[Transition]:
    """Those of a `task` or of a `run`, in the table's order."""
    text = TABLE.read_text(encoding="utf-8")
    rows = text.partition(f"\nTRANSITIONS.{of} = {{\n")[2].partition("\n}\n")[0]
    found = re.findall(r"^  \{ '([^']+)', +'([^']+)', +'([^']+)' \},", rows, re.MULTILINE)
    assert len(found) == rows.count("{"), "a row that is written otherwise"
    return [
        Transition(what, before, after)
        for what, befores, afters in found
        for before in befores.split()
        for after in afters.split()
    ]


def diagrams() -> list[str]:
    """The Mermaid texts of the page: of a task, of stopped ones, of marked ones, and of a run."""
    marked = [t for t in transitions("task") if "mark" in t.what and t.before != ANY]
    others = [t for t in transitions("task") if "mark" not in t.what]
    stopped = [t for t in others if {t.before, t.after} & {"cancelling", "cancelled"}]
    run = [t for t in transitions("run") if t.before != ANY]
    return [
        _drawn([t for t in others if t not in stopped], "none", ENDED_TASK_STATES),
        _drawn(stopped, "", ENDED_TASK_STATES),
        _drawn(marked, "", ENDED_TASK_STATES),
        _drawn(run, "queued", ENDED_RUN_STATES),
    ]


def _drawn(found: list[Transition], first: str, ended: frozenset[str]) -> str:
    labels: dict[tuple[str, str], list[str]] = {}
    for t in found:
        labels.setdefault((t.before, t.after), []).append(t.what)
    lines = ["stateDiagram-v2", *([f"    [*] --> {first}"] if first else [])]
    lines += [f"    {a} --> {b}: {', '.join(what)}" for (a, b), what in labels.items()]
    over = dict.fromkeys(after for _, after in labels if after in ended)
    return "\n".join(lines + [f"    {state} --> [*]" for state in over])


def page(text: str) -> str:
    """The page with its diagrams as they are to be."""
    drawn = iter(diagrams())
    assert len(_BLOCK.findall(text)) == len(diagrams())
    return _BLOCK.sub(lambda _: f"```mermaid\n{next(drawn)}\n```", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
