"""A DAG or a run as a picture: boxes and edges as the page has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pydag_dist.cli.pictures import svg
from pydag_dist.cli.pictures.families import Boxes, boxes_of
from pydag_dist.cli.pictures.layout import HEIGHT, WIDTH, Edge, Layout, lay_out
from pydag_dist.cli.pictures.looks import ALONG, LOOKS, known
from pydag_dist.dag import Dag
from pydag_dist.engine import RunSnapshot

_TOP: Final = 64  # of what stands above the boxes
_MARGIN: Final = 16
_LABEL: Final = 23  # characters that a box has room for
_LEAST: Final = 360  # so that the heading has room
_LISTED: Final = 20  # tasks that the title of a box names


def graph_picture(dag: Dag, run: RunSnapshot | None = None) -> str:
    """The DAG, or a run of it with the states of its tasks, as SVG."""
    names, waits = dag.walk(), dag.waits_for()
    place = {name: number for number, name in enumerate(names)}
    edges: list[Edge] = [(place[up], place[name]) for name in names for up in waits[name]]
    boxes = boxes_of(names, edges)
    layout = lay_out(len(boxes.labels), boxes.edges)
    counts = _counts(dag, run)
    top = _TOP - min(layout.y, default=0.0)
    parts, wide = _heading(dag, run, counts.values())
    width = max([wide, _LEAST, *(x + WIDTH + 2 * _MARGIN for x in layout.x)])
    height = max(layout.y, default=0.0) + HEIGHT + top + _MARGIN + 4
    title = f"{dag.dag_id}, {run.run_id}: {run.state}" if run else dag.dag_id
    drawn = (
        *parts,
        '<clipPath id="in"><path d="M3 0H180V38H3Z"/></clipPath>',
        f'<g transform="translate({_MARGIN} {svg.num(top)})">',
        f'<path class="edge" d="{_edges(boxes.edges, layout)}"/>',
        *_boxes(names, boxes, layout, counts if run else {}),
        "</g>",
    )
    return svg.picture(width, height, title, drawn)


def _counts(dag: Dag, run: RunSnapshot | None) -> dict[str, Counter[str]]:
    """Of each task how many are in each state: it alone, or the tasks that it was expanded into."""
    found: dict[str, Counter[str]] = {name: Counter() for name in dag.tasks}
    if run is None:
        return found
    expanded = {name for name, task in dag.tasks.items() if task.expand}
    for name, task in run.tasks.items():
        parent = name.rpartition(".")[0]
        box = name if name in found else parent if parent in expanded else ""
        if box:
            found[box][known(task.state)] += 1
    for name in expanded:
        if name in run.tasks and found[name].total() > 1:  # those that it became stand for it
            found[name][known(run.tasks[name].state)] -= 1
    return found


def _heading(
    dag: Dag, run: RunSnapshot | None, counts: Iterable[Counter[str]]
) -> tuple[list[str], float]:
    if run is None:
        what = f"{len(dag.tasks):,} task{'s' * (len(dag.tasks) != 1)}"
        line = f'<text class="n" x="{_MARGIN}" y="44">{what}</text>'
        return [svg.heading(dag.dag_id), line], 0.0
    total: Counter[str] = sum(counts, Counter())
    told, wide = svg.legend(total, 48)
    return [svg.heading(f"{run.run_id}: {run.state}"), told], wide


def _edges(edges: Sequence[Edge], layout: Layout) -> str:
    """All edges as one path: each from the right of a box to the left of another."""
    x, y, drawn = layout.x, layout.y, []
    for (start, end), bend in zip(edges, layout.bends, strict=True):
        last_x, last_y = x[start] + WIDTH, y[start] + HEIGHT / 2
        drawn.append(f"M{svg.num(last_x)} {svg.num(last_y)}")
        for next_x, next_y in [*bend, (x[end], y[end] + HEIGHT / 2)]:
            to = f"{svg.num(next_x)} {svg.num(next_y)}"
            if next_y == last_y:
                drawn.append(f"L{to}")
            else:
                half = svg.num((last_x + next_x) / 2)
                drawn.append(f"C{half} {svg.num(last_y)} {half} {svg.num(next_y)} {to}")
            last_x, last_y = next_x, next_y
    return "".join(drawn)


def _boxes(
    names: Sequence[str], boxes: Boxes, layout: Layout, counts: Mapping[str, Counter[str]]
) -> Iterator[str]:
    for box, (label, tasks) in enumerate(zip(boxes.labels, boxes.tasks, strict=True)):
        own = [names[task] for task in tasks]
        states: Counter[str] = sum((counts[name] for name in own if counts), Counter())
        present = [(state, states[state]) for state in LOOKS if states[state] > 0]
        words = ", ".join(
            LOOKS[s].says if states.total() == 1 else f"{n:,} {LOOKS[s].says}" for s, n in present
        )
        told = [": ".join(filter(None, (label, words)))]
        if len(own) > 1:
            more = [f"and {len(own) - _LISTED:,} more"] if len(own) > _LISTED else []
            told += [", ".join(own[:_LISTED]), *more]
        at = f"translate({svg.num(layout.x[box])} {svg.num(layout.y[box])})"
        shadow = '<path class="l" d="M3 41H187V3"/>' if len(own) > 1 else ""
        frame = f'<rect class="b" width="{WIDTH}" height="{HEIGHT}"/>'
        title = f"<title>{svg.text('; '.join(told))}</title>"
        yield f'<g transform="{at}">{title}{shadow}{frame}{_inside(label, present)}</g>'


def _inside(label: str, present: Sequence[tuple[str, int]]) -> str:
    name = svg.text(svg.cut(label, _LABEL))
    if not present:
        return f'<text clip-path="url(#in)" x="10" y="23">{name}</text>'
    state, count = present[0]
    drawn = f'<rect class="e-{state}" width="3" height="{HEIGHT}"/>{svg.badge(state, 8, 11)}'
    drawn += f'<text clip-path="url(#in)" x="31" y="16">{name}</text>'
    if len(present) == 1 and count == 1:
        return f'{drawn}<text class="n" x="31" y="31">{LOOKS[state].says}</text>'
    total, x = sum(n for _, n in present), 31.0
    for each, n in sorted(present, key=lambda part: ALONG.index(part[0])):
        wide = 145 * n / total
        drawn += (
            f'<rect class="f-{each}" x="{svg.num(x)}" y="23" width="{svg.num(wide)}" height="8"/>'
        )
        x += wide
    return drawn
