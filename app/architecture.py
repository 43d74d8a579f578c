"""A net's list of layers as a drawing (slabs, arrows, shortcuts with their coordinates) and as a table with sums.

Pure functions of `trainer.models.layers.Layer`. Coordinates are CSS pixels from the upper left corner, x to the right,
y down. Must not know HTTP or HTML, which net it is, or any ML framework: a dozen layers or a hundred are drawn alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from trainer.models.layers import Kind, Layer, Totals, totals

KINDS: dict[Kind, str] = {
    "input": "Picture",
    "conv": "Convolution",
    "batch_norm": "Batch norm (BN)",
    "activation": "Activation",
    "max_pool": "Max pooling",
    "dropout": "Dropout",
    "identity": "Identity",
    "add": "Sum",
    "flatten": "Flatten",
    "dense": "Dense",
    "scale": "Scale",
}

AXIS = 170.0  # y of the middle of every slab: below it half of the tallest one, above it that and the headings
HEIGHT = 348.0
MARGIN = 12.0
BAND = 17.0  # width of a slab whose channels are those of the one before: a line of its label
SLANT = 0.08  # how far a slab reaches back, as a share of its height
REACH = 13.0  # length of an arrow, clear of the slab that it comes from
PAD = 9.0  # between a block's frame and what it holds
RADIUS = 11.0  # of a sum
HEADROOM = 15.0  # from a slab to the shortcut above it
BEND = 14.0  # radius of a shortcut's corners


@dataclass(frozen=True)
class Slab:
    """One layer's output: its front (x, y, width, height), reaching back by `depth` to the right and upwards."""

    layer: Layer
    x: float
    y: float
    width: float
    height: float
    depth: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def top_face(self) -> list[tuple[float, float]]:
        d = self.depth
        return [(self.x, self.y), (self.x + d, self.y - d), (self.right + d, self.y - d), (self.right, self.y)]

    @property
    def side_face(self) -> list[tuple[float, float]]:
        x, d, bottom = self.right, self.depth, self.y + self.height
        return [(x, self.y), (x + d, self.y - d), (x + d, bottom - d), (x, bottom)]


@dataclass(frozen=True)
class Sum:
    """Where two branches meet: a circle around (x, y)."""

    layer: Layer
    x: float
    y: float
    radius: float = RADIUS


@dataclass(frozen=True)
class Arrow:
    x1: float
    x2: float
    y: float = AXIS


@dataclass(frozen=True)
class Shortcut:
    """From (x1, low) up to `high`, over to x2, and down to (x2, end); corners of radius `bend`."""

    x1: float
    x2: float
    low: float
    high: float
    end: float
    bend: float = BEND


@dataclass(frozen=True)
class Caption:
    """Below a stack of slabs, around x: what it gives (rows × columns, × channels), and its parameters."""

    x: float
    size: str
    channels: str
    parameters: int


@dataclass(frozen=True)
class Frame:
    """Around a block, from x to x + width; `share` of the forward pass's FLOPs is spent in it, 0..1."""

    block: str
    x: float
    width: float
    share: float


@dataclass
class Drawing:
    """Slabs stand in the order in which they are painted: each covers what it hides of the ones before."""

    width: float = 0.0
    height: float = HEIGHT
    slabs: list[Slab] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    shortcuts: list[Shortcut] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)  # for the legend, in the order of KINDS
    words: str = ""  # the same for those who do not see it


@dataclass(frozen=True)
class Block:
    """Layers of one part of the net, with their sums."""

    name: str
    layers: list[Layer]
    totals: Totals


def draw(layers: Sequence[Layer]) -> Drawing:
    """The net from left to right: a stack of slabs for each convolution with what is done to its output.

    A slab's height grows with the root of the picture's side, its width with the logarithm of its channels.
    """
    drawing, x, whole = Drawing(), MARGIN, max(totals(layers).flops, 1)
    ends: dict[str, tuple[float, float]] = {}  # layer -> (the x where its arrow leaves, y of its highest point)
    takers = [name for layer in layers for name in layer.inputs]
    for before, stack in pairwise([[], *_stacks(layers)]):
        if before:
            is_new_block = before[-1].block != stack[0].block
            start, _ = ends[before[-1].name]
            room = drawing.slabs[-1].depth / 2 if before[-1].kind != "add" else 0.0
            x = start + room + REACH + (PAD + PAD / 2 if is_new_block else 0.0)
            x += REACH / 2 if takers.count(before[-1].name) > 1 else 0.0  # a shortcut leaves here
            drawing.arrows.append(Arrow(start, x))
        if stack[0].kind == "add":
            _place_sum(drawing, stack[0], x, ends)
        else:
            _place_stack(drawing, stack, x, ends)
    for block in blocks(layers):
        if block.name != "input":
            left, right = _extent(drawing, block)
            share = block.totals.flops / whole
            drawing.frames.append(Frame(block.name, left - PAD, right - left + 2 * PAD, share))
    drawing.width = max(slab.right + slab.depth for slab in drawing.slabs) + PAD + MARGIN
    drawing.kinds = [kind for kind in KINDS if any(layer.kind == kind for layer in layers)]
    drawing.words = " ".join(_sentences(layers))
    return drawing


def blocks(layers: Sequence[Layer]) -> list[Block]:
    """The table: layers by block, in order, each with its sums."""
    grouped = [(name, list(group)) for name, group in groupby(layers, key=lambda layer: layer.block)]
    return [Block(name, group, totals(group)) for name, group in grouped]


def label(layer: Layer) -> str:
    """What stands on a slab: `conv 3×3`, `BN`, `ReLU`."""
    knobs = layer.knobs
    match layer.kind:
        case "input":
            return "picture"
        case "conv":
            return f"{'whiten' if knobs['is_frozen'] else 'conv'} {knobs['size']}×{knobs['size']}"
        case "batch_norm":
            return "ghost BN" if knobs.get("ghost_batch") else "BN"
        case "activation":
            return {"relu": "ReLU", "celu": "CELU"}.get(knobs["function"], knobs["function"])
        case "max_pool":
            return f"pool {knobs['size']}×{knobs['size']}"
        case "add":
            return "sum"
        case "scale":
            return f"× {knobs['factor']:g}"
    return layer.kind


def about(layer: Layer) -> str:
    """What a layer is, in a table's cell."""
    knobs = layer.knobs
    match layer.kind:
        case "input":
            return "Picture, red, green and blue"
        case "conv":
            what = f"{knobs['size']} × {knobs['size']} convolution"
            return f"{what}, whitening, not trained" if knobs["is_frozen"] else what
        case "batch_norm":
            over = f" over {knobs['ghost_batch']} pictures" if knobs.get("ghost_batch") else ""
            return f"Batch norm{over}" + ("" if knobs["is_scaled"] else ", scale stays 1")
        case "activation":
            return label(layer) + (f", alpha {knobs['alpha']:g}" if knobs["function"] == "celu" else "")
        case "max_pool":
            return f"{knobs['size']} × {knobs['size']} max pooling"
        case "dropout":
            return f"Dropout of {knobs['rate'] * 100:g} %"
        case "add":
            return f"Sum of {' and '.join(layer.inputs)}"
        case "scale":
            return f"Times {knobs['factor']:g}"
    return KINDS[layer.kind]


def extent(layer: Layer) -> str:
    """32×32×64: rows, columns, channels; 10: features."""
    return "×".join(str(size) for size in layer.shape)


def operations(flops: int) -> str:
    """Floating-point operations for people, four digits: 0.7585 GFLOP, 12.13 MFLOP."""
    return f"{digits(flops / 1e9)} GFLOP" if flops >= 1e8 else f"{digits(flops / 1e6)} MFLOP"


def digits(value: float) -> str:
    """Four significant digits, never an exponent: 0.01024, 151.0, 38,655; 0 is 0."""
    places = 3 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:,.{max(places, 0)}f}"


def _stacks(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    """Layers that are drawn without an arrow between them: the same shape, block and branch."""
    takers = [name for layer in layers for name in layer.inputs]
    stack: list[Layer] = []
    for layer in layers:
        if stack and (
            layer.kind in {"conv", "add", "dense"}
            or _size(layer) != _size(stack[-1])
            or layer.block != stack[-1].block
            or layer.inputs != (stack[-1].name,)
            or stack[-1].kind == "add"
            or takers.count(stack[-1].name) > 1
        ):
            yield stack
            stack = []
        stack.append(layer)
    yield stack


def _size(layer: Layer) -> tuple[int, int]:
    """Side in pixels and channels; features are channels of a single pixel."""
    return (layer.shape[0], layer.shape[-1]) if len(layer.shape) > 1 else (1, layer.shape[0])


def _place_stack(drawing: Drawing, stack: list[Layer], x: float, ends: dict[str, tuple[float, float]]) -> None:
    left = x
    for layer in stack:
        side, channels = _size(layer)
        height = 26 + 32 * math.sqrt(side)
        width = 9 + 4 * math.log2(channels) if layer.kind in {"input", "conv", "dense"} else BAND
        depth = SLANT * height
        slab = Slab(layer, x, AXIS - height / 2 + depth / 2, max(width, BAND), height, depth)
        drawing.slabs.append(slab)
        x = slab.right
        ends[layer.name] = (x + depth / 2, slab.y - depth)
    side, channels = _size(stack[-1])
    size = f"{side}×{side}" if len(stack[0].shape) > 1 else ""
    drawing.captions.append(Caption((left + x) / 2, size, f"{channels}", sum(layer.parameters for layer in stack)))


def _place_sum(drawing: Drawing, layer: Layer, x: float, ends: dict[str, tuple[float, float]]) -> None:
    """The circle, and the shortcut to it from the input that is not the layer just before."""
    made = Sum(layer, x + RADIUS, AXIS)
    drawing.sums.append(made)
    ends[layer.name] = (x + 2 * RADIUS, AXIS - RADIUS)
    trunk = layer.inputs[0]
    passed = list(ends)[list(ends).index(trunk) :]
    high = min(ends[name][1] for name in passed) - HEADROOM
    slab = next(slab for slab in drawing.slabs if slab.layer.name == trunk)
    drawing.shortcuts.append(Shortcut(slab.right + slab.depth + REACH / 2, made.x, AXIS, high, AXIS - RADIUS))


def _extent(drawing: Drawing, block: Block) -> tuple[float, float]:
    names = {layer.name for layer in block.layers}
    slabs = [slab for slab in drawing.slabs if slab.layer.name in names]
    sums = [one.x + one.radius for one in drawing.sums if one.layer.name in names]
    return min(slab.x for slab in slabs), max([slab.right + slab.depth for slab in slabs] + sums)


def _sentences(layers: Sequence[Layer]) -> Iterator[str]:
    yield "From left to right."
    for block in blocks(layers):
        said = [f"{', '.join(label(layer) for layer in stack)} gives {extent(stack[-1])}" for stack in _stacks(block.layers)]
        yield f"{block.name.capitalize()}: {'; '.join(said)}."
    for layer in layers:
        if layer.kind == "add":
            yield f"A shortcut leads from {layer.inputs[0]} to {layer.name}, past what lies between."
