"""Where boxes stand: the layout of `ui/src/graph/layout.ts`, number by number.

A layered layout (Sugiyama): every edge leads to the right, edges over several layers pass through
virtual nodes, so that boxes lie on none. A test compares it with the page's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

WIDTH: Final = 184
HEIGHT: Final = 38
GAP_X: Final = 56
GAP_Y: Final = 12
_SWEEPS: Final = 12
_PLACINGS: Final = 10
_VIRTUAL_HEIGHT: Final = 8
_MOST_VIRTUAL: Final = 60_000  # with more virtual nodes long edges are drawn straight

Edge = tuple[int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Left and upper corner of each node's box, and of each edge the points that it passes."""

    x: list[float]
    y: list[float]
    bends: list[list[Point]]
    crossings: int


class _Neighbours(NamedTuple):
    up: list[list[int]]
    down: list[list[int]]


def _neighbours(count: int, edges: Iterable[Edge]) -> _Neighbours:
    up: list[list[int]] = [[] for _ in range(count)]
    down: list[list[int]] = [[] for _ in range(count)]
    for start, end in edges:
        down[start].append(end)
        up[end].append(start)
    return _Neighbours(up, down)


def layers_of(count: int, edges: Sequence[Edge]) -> list[int]:
    """Of each node its layer: the longest way to it; what waits for nothing is by its first use."""
    up, down = _neighbours(count, edges)
    layer = [0] * count
    waits = [len(nodes) for nodes in up]
    order = [node for node in range(count) if not waits[node]]
    for node in order:  # which grows meanwhile
        for following in down[node]:
            layer[following] = max(layer[following], layer[node] + 1)
            waits[following] -= 1
            if not waits[following]:
                order.append(following)
    for node in reversed(order):
        if down[node] and not up[node]:
            layer[node] = min(layer[following] for following in down[node]) - 1
    return layer


def lay_out(count: int, edges: Sequence[Edge]) -> Layout:
    """Where the boxes of `count` nodes stand. The same graph always gets the same layout."""
    graph, chains, layers = _with_virtual_nodes(edges, layers_of(count, edges))
    crossings = _untangle(graph, layers)
    middle = _place_rows(graph, layers, count)
    column = [0.0] * len(graph.up)
    for index, nodes in enumerate(layers):
        for node in nodes:
            column[node] = index * (WIDTH + GAP_X)
    bends = [
        [(column[node] + side, middle[node]) for node in chain for side in (0, WIDTH)]
        for chain in chains
    ]
    y = [row - HEIGHT / 2 for row in middle[:count]]
    return Layout(column[:count], y, bends, crossings)


def _with_virtual_nodes(
    edges: Sequence[Edge], layer: Sequence[int]
) -> tuple[_Neighbours, list[list[int]], list[list[int]]]:
    virtual = sum(layer[end] - layer[start] - 1 for start, end in edges)
    is_straight = virtual > _MOST_VIRTUAL
    layer_of = list(layer)
    pieces: list[Edge] = []
    chains: list[list[int]] = []
    for start, end in edges:
        first = len(layer_of)
        if not is_straight:
            layer_of.extend(range(layer[start] + 1, layer[end]))
        chain = list(range(first, len(layer_of)))
        pieces += pairwise([start, *chain, end])
        chains.append(chain)
    graph = _neighbours(len(layer_of), pieces)
    return graph, chains, _first_order(graph, layer_of)


def _first_order(graph: _Neighbours, layer: Sequence[int]) -> list[list[int]]:
    """The nodes of each layer as a walk in depth meets them, so that branches stay together."""
    layers: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    seen = [False] * len(layer)
    for root in sorted(range(len(layer)), key=layer.__getitem__):
        stack = [root]
        while stack:
            node = stack.pop()
            if seen[node]:
                continue
            seen[node] = True
            layers[layer[node]].append(node)
            stack += [following for following in reversed(graph.down[node]) if not seen[following]]
    return layers


def _untangle(graph: _Neighbours, layers: list[list[int]]) -> int:
    """Order each layer by where its nodes' neighbours are, keep the best order; its crossings."""
    place = [0] * len(graph.up)

    def note(nodes: Sequence[int]) -> None:
        for at, node in enumerate(nodes):
            place[node] = at

    for nodes in layers:
        note(nodes)
    best = _crossings(layers, graph.down, place)
    kept = [list(nodes) for nodes in layers]
    wanted = [0.0] * len(place)
    for sweep in range(_SWEEPS):
        if not best:
            break
        forward = sweep % 2 == 0
        middle = _mean if sweep < _SWEEPS / 2 else _median
        near = graph.up if forward else graph.down
        for nodes in layers if forward else reversed(layers):
            for node in nodes:
                places = [place[other] for other in near[node]]
                wanted[node] = middle(places) if places else place[node]
            nodes.sort(key=wanted.__getitem__)
            note(nodes)
        now = _crossings(layers, graph.down, place)
        if now < best:
            best, kept = now, [list(nodes) for nodes in layers]
    layers[:] = kept
    return best


def _mean(places: Sequence[float]) -> float:
    total = 0.0
    for place in places:  # `sum` rounds otherwise than a browser does
        total += place
    return total / len(places)


def _median(places: Sequence[int]) -> float:
    ordered, half = sorted(places), len(places) >> 1
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _crossings(layers: list[list[int]], down: list[list[int]], place: list[int]) -> int:
    """How often edges between neighbouring layers cross, counted by a Fenwick tree."""
    total = 0
    for nodes, following in pairwise(layers):
        size = len(following)
        tree, edges = [0] * (size + 1), 0
        for node in nodes:
            # Where long edges are straight, some lead to a later layer.
            near = [place[end] for end in down[node]]
            ends = sorted(
                at
                for at, end in zip(near, down[node], strict=True)
                if at < size and following[at] == end
            )
            for end in ends:
                not_below, at = 0, end + 1
                while at:
                    not_below += tree[at]
                    at &= at - 1
                total += edges - not_below
            for end in ends:
                at = end + 1
                while at <= size:
                    tree[at] += 1
                    at += at & -at
            edges += len(ends)
    return total


def _place_rows(graph: _Neighbours, layers: list[list[int]], count: int) -> list[float]:
    """The middle of each node: as near to its neighbours' as order and gaps allow."""

    def height(node: int) -> int:
        return HEIGHT if node < count else _VIRTUAL_HEIGHT

    y = [0.0] * len(graph.up)
    for nodes in layers:
        top = 0.0
        for node in nodes:
            y[node] = top + height(node) / 2
            top += height(node) + GAP_Y
        for node in nodes:
            y[node] -= (top - GAP_Y) / 2
    for turn in range(_PLACINGS):
        forward = turn % 2 == 0
        for nodes in layers if forward else reversed(layers):
            _place(nodes, graph.up if forward else graph.down, y, height, count)
    return y


def _place(
    nodes: Sequence[int],
    near: list[list[int]],
    y: list[float],
    height: Callable[[int], int],
    count: int,
) -> None:
    # Nodes that would overlap become a block with the weighted mean of what they want (pool
    # adjacent violators); virtual nodes weigh more, so that long edges are straight.
    steps = ((height(one) + height(other)) / 2 + GAP_Y for one, other in pairwise(nodes))
    offsets = list(accumulate(steps, initial=0.0))[: len(nodes)]
    blocks: list[tuple[float, int, int]] = []
    for node, offset in zip(nodes, offsets, strict=True):
        rows = [y[other] for other in near[node]]
        at, weight, size = (_mean(rows) if rows else y[node]) - offset, 1, 1
        if node >= count:
            weight = 4
        while blocks and blocks[-1][0] >= at:
            last_at, last_weight, last_size = blocks.pop()
            both = last_weight + weight
            at = (last_at * last_weight + at * weight) / both
            weight, size = both, last_size + size
        blocks.append((at, weight, size))
    index = 0
    for at, _, size in blocks:
        for node in nodes[index : index + size]:
            y[node] = at + offsets[index]
            index += 1
