// A layered layout (Sugiyama): every edge leads to the right, edges over several layers pass through
// virtual nodes, so that boxes lie on none. Its time is linear in tasks and edges for each sweep.

export type Edge = readonly [from: number, to: number];
type Point = readonly [x: number, y: number];

export const BOX = { width: 184, height: 38, gapX: 56, gapY: 12 };
const SWEEPS = 12;
const PLACINGS = 10;
const FAR_FEWER = 0.6; // of the crossings, for which boxes that stood elsewhere move
const VIRTUAL_HEIGHT = 8;
// With more virtual nodes than this, long edges are drawn straight.
const MOST_VIRTUAL = 60_000;

export interface Layout {
  /** Left and upper corner of each node's box. */
  x: Float64Array;
  y: Float64Array;
  /** Of each edge the points between its two boxes that it passes. */
  bends: Point[][];
  crossings: number;
}

interface Neighbours {
  up: number[][];
  down: number[][];
}

function neighbours(count: number, edges: readonly Edge[]): Neighbours {
  const up: number[][] = Array.from({ length: count }, () => []);
  const down: number[][] = Array.from({ length: count }, () => []);
  for (const [from, to] of edges) {
    down[from]!.push(to);
    up[to]!.push(from);
  }
  return { up, down };
}

/** Of each node its layer: the longest way to it, but what waits for nothing stands by its first use. */
export function layersOf(count: number, edges: readonly Edge[]): Int32Array {
  const { up, down } = neighbours(count, edges);
  const layer = new Int32Array(count);
  const waits = Int32Array.from(up, (nodes) => nodes.length);
  const order: number[] = [];
  for (let node = 0; node < count; node++) if (waits[node] === 0) order.push(node);
  for (let i = 0; i < order.length; i++) {
    const node = order[i]!;
    for (const next of down[node]!) {
      layer[next] = Math.max(layer[next]!, layer[node]! + 1);
      if (--waits[next]! === 0) order.push(next);
    }
  }
  for (const node of order.toReversed()) {
    if (up[node]!.length === 0 && down[node]!.length > 0) {
      let first = Number.MAX_SAFE_INTEGER;
      for (const next of down[node]!) first = Math.min(first, layer[next]!);
      layer[node] = first - 1;
    }
  }
  return layer;
}

/** Where the boxes of `count` nodes stand. The same graph always gets the same layout, unless it is
 * told where nodes stood `before`: then they keep their order, unless another has far fewer crossings. */
export function layOut(
  count: number,
  edges: readonly Edge[],
  before?: readonly (number | undefined)[],
): Layout {
  const layer = layersOf(count, edges);
  const { graph, chains, layers } = withVirtualNodes(count, edges, layer);
  if (before) keepOrder(graph, layers, before);
  const crossings = untangle(graph, layers, before ? FAR_FEWER : 1);
  const middle = placeRows(graph, layers, count);
  const column = new Float64Array(graph.up.length);
  layers.forEach((nodes, index) => {
    for (const node of nodes) column[node] = index * (BOX.width + BOX.gapX);
  });
  return {
    x: column.slice(0, count),
    y: middle.slice(0, count).map((y) => y - BOX.height / 2),
    bends: chains.map((chain) =>
      chain.flatMap((node): Point[] => [
        [column[node]!, middle[node]!],
        [column[node]! + BOX.width, middle[node]!],
      ]),
    ),
    crossings,
  };
}

function withVirtualNodes(count: number, edges: readonly Edge[], layer: Int32Array) {
  let virtual = 0;
  for (const [from, to] of edges) virtual += layer[to]! - layer[from]! - 1;
  if (virtual > MOST_VIRTUAL) virtual = 0;
  const total = count + virtual;
  const pieces: Edge[] = [];
  const layerOf = new Int32Array(total);
  layerOf.set(layer);
  let next = count;
  const chains = edges.map(([from, to]) => {
    const chain: number[] = [];
    let last = from;
    for (let at = layer[from]! + 1; virtual > 0 && at < layer[to]!; at++) {
      layerOf[next] = at;
      pieces.push([last, next]);
      chain.push(next);
      last = next++;
    }
    pieces.push([last, to]);
    return chain;
  });
  const graph = neighbours(total, pieces);
  return { graph, chains, layers: firstOrder(graph, layerOf) };
}

/** The nodes of each layer as a walk in depth meets them, so that branches stay together. */
function firstOrder({ down }: Neighbours, layer: Int32Array): number[][] {
  const layers: number[][] = [];
  const seen = new Uint8Array(layer.length);
  const roots = [...layer.keys()].sort((a, b) => layer[a]! - layer[b]! || a - b);
  for (const root of roots) {
    const stack = [root];
    while (stack.length > 0) {
      const node = stack.pop()!;
      if (seen[node]) continue;
      seen[node] = 1;
      let nodes = layers[layer[node]!];
      if (nodes === undefined) {
        nodes = [];
        layers[layer[node]!] = nodes;
      }
      nodes.push(node);
      for (const next of down[node]!.toReversed()) if (!seen[next]) stack.push(next);
    }
  }
  return layers;
}

/** Orders each layer as its nodes stood; a new one by those that it is joined to. */
function keepOrder(
  { up, down }: Neighbours,
  layers: number[][],
  before: readonly (number | undefined)[],
): void {
  const at = Array.from(up, (_, node) => before[node]);
  for (const nodes of layers) {
    for (const node of nodes) {
      if (at[node] !== undefined) continue;
      const near = [...up[node]!, ...down[node]!].flatMap((other) => at[other] ?? []);
      if (near.length > 0) at[node] = near.reduce((a, b) => a + b) / near.length;
    }
    const place = new Map(nodes.map((node) => [node, at[node] ?? Number.MAX_VALUE]));
    nodes.sort((a, b) => place.get(a)! - place.get(b)!);
  }
}

/** Orders each layer by where its nodes' neighbours are, and keeps the best order, if it has less than
 * the share `least` of the crossings of the first one; its crossings. */
function untangle({ up, down }: Neighbours, layers: number[][], least: number): number {
  const place = new Int32Array(up.length);
  const note = (nodes: number[]) => {
    for (let i = 0; i < nodes.length; i++) place[nodes[i]!] = i;
  };
  layers.forEach(note);
  const first = crossingsOf(layers, down, place);
  let best = first;
  let kept = layers.map((nodes) => [...nodes]);
  const wanted = new Float64Array(up.length);
  for (let sweep = 0; sweep < SWEEPS && best > 0; sweep++) {
    const forward = sweep % 2 === 0;
    const middle = sweep < SWEEPS / 2 ? mean : median;
    for (const nodes of forward ? layers : layers.toReversed()) {
      for (const node of nodes) {
        const near = forward ? up[node]! : down[node]!;
        wanted[node] = near.length > 0 ? middle(near, place) : place[node]!;
      }
      nodes.sort((a, b) => wanted[a]! - wanted[b]! || place[a]! - place[b]!);
      note(nodes);
    }
    const now = crossingsOf(layers, down, place);
    if (now < best && now < first * least) {
      best = now;
      kept = layers.map((nodes) => [...nodes]);
    }
  }
  kept.forEach((nodes, index) => {
    layers[index] = nodes;
  });
  return best;
}

function mean(nodes: readonly number[], place: Int32Array): number {
  let sum = 0;
  for (const node of nodes) sum += place[node]!;
  return sum / nodes.length;
}

function median(nodes: readonly number[], place: Int32Array): number {
  const places = nodes.map((node) => place[node]!).sort((a, b) => a - b);
  const half = places.length >> 1;
  return places.length % 2 === 1 ? places[half]! : (places[half - 1]! + places[half]!) / 2;
}

/** How often edges between neighbouring layers cross, counted by a Fenwick tree. */
function crossingsOf(layers: number[][], down: number[][], place: Int32Array): number {
  let total = 0;
  for (let index = 0; index + 1 < layers.length; index++) {
    const size = layers[index + 1]!.length;
    const tree = new Int32Array(size + 1);
    let edges = 0;
    for (const node of layers[index]!) {
      // Where long edges are straight, some lead to a later layer.
      const near = down[node]!.filter((next) => layers[index + 1]![place[next]!] === next);
      const ends = near.map((next) => place[next]!).sort((a, b) => a - b);
      for (const end of ends) {
        let notBelow = 0;
        for (let i = end + 1; i > 0; i -= i & -i) notBelow += tree[i]!;
        total += edges - notBelow;
      }
      for (const end of ends) for (let i = end + 1; i <= size; i += i & -i) tree[i]!++;
      edges += ends.length;
    }
  }
  return total;
}

/** The middle of each node: as near to its neighbours' as order and gaps allow. */
function placeRows({ up, down }: Neighbours, layers: number[][], count: number): Float64Array {
  const height = (node: number) => (node < count ? BOX.height : VIRTUAL_HEIGHT);
  const y = new Float64Array(up.length);
  for (const nodes of layers) {
    let top = 0;
    for (const node of nodes) {
      y[node] = top + height(node) / 2;
      top += height(node) + BOX.gapY;
    }
    for (const node of nodes) y[node]! -= (top - BOX.gapY) / 2;
  }
  for (let round = 0; round < PLACINGS; round++) {
    const forward = round % 2 === 0;
    for (const nodes of forward ? layers : layers.toReversed()) {
      place(nodes, forward ? up : down, y, height, count);
    }
  }
  return y;
}

// Nodes that would overlap become a block with the weighted mean of what they want (pool adjacent
// violators); virtual nodes weigh more, so that long edges are straight.
function place(
  nodes: readonly number[],
  near: number[][],
  y: Float64Array,
  height: (node: number) => number,
  count: number,
): void {
  const blocks: { at: number; weight: number; size: number }[] = [];
  const offsets: number[] = [];
  let offset = 0;
  nodes.forEach((node, index) => {
    if (index > 0) offset += (height(nodes[index - 1]!) + height(node)) / 2 + BOX.gapY;
    offsets.push(offset);
    let block = {
      at: (near[node]!.length > 0 ? mean64(near[node]!, y) : y[node]!) - offset,
      weight: node < count ? 1 : 4,
      size: 1,
    };
    for (let last = blocks.at(-1); last && last.at >= block.at; last = blocks.at(-1)) {
      blocks.pop();
      const weight = last.weight + block.weight;
      const at = (last.at * last.weight + block.at * block.weight) / weight;
      block = { at, weight, size: last.size + block.size };
    }
    blocks.push(block);
  });
  let index = 0;
  for (const { at, size } of blocks) {
    for (const end = index + size; index < end; index++) y[nodes[index]!] = at + offsets[index]!;
  }
}

function mean64(nodes: readonly number[], y: Float64Array): number {
  let sum = 0;
  for (const node of nodes) sum += y[node]!;
  return sum / nodes.length;
}
