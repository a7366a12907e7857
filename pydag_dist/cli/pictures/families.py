"""Which tasks are one box, as in `ui/src/graph/families.ts`: in a big DAG those of one name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydag_dist.cli.pictures.layout import Edge, layers_of

MOST_SINGLE: Final = 150  # up to so many tasks each is a box
_DIGITS: Final = re.compile("[0-9]+")


@dataclass(frozen=True)
class Boxes:
    """Of each box its label and its tasks, the edges between boxes, and of each task its box."""

    labels: list[str]
    tasks: list[list[int]]
    edges: list[Edge]
    box_of: list[int]


def boxes_of(names: Sequence[str], edges: Sequence[Edge]) -> Boxes:
    """The boxes of a DAG: in a big one all tasks of one name, digits apart, in one layer."""
    keys: list[object] = list(names)
    if len(names) > MOST_SINGLE:
        layers = layers_of(len(names), edges)
        keys = [(_family(name), layer) for name, layer in zip(names, layers, strict=True)]
    found: dict[object, int] = {}
    box_of = [found.setdefault(key, len(found)) for key in keys]
    tasks: list[list[int]] = [[] for _ in found]
    for task, box in enumerate(box_of):
        tasks[box].append(task)
    between = dict.fromkeys((box_of[start], box_of[end]) for start, end in edges)
    return Boxes(
        [_label([names[task] for task in own]) for own in tasks], tasks, [*between], box_of
    )


def _family(name: str) -> str:
    return _DIGITS.sub("#", name)


def _label(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    family = _family(names[0])
    return f"{family.rstrip('_.#-') or family} \N{MULTIPLICATION SIGN} {len(names):,}"
