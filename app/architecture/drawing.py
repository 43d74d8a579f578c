"""Lays out a model's layers as a drawing (slabs, arrows, shortcuts) and as a table with totals.

Coordinates are CSS pixels from the upper left corner, x to the right, y down.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from trainer.models.layers import Kind, Layer, Totals, compute_totals

KINDS: dict[Kind, str] = {
    "input": "Image",
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

AXIS = 170.0  # y of the middle of every slab: room below for half of the tallest one, above also for the headings
HEIGHT = 348.0
MARGIN = 12.0
BAND = 17.0  # width of a slab with the channels of the one before: one line of its label
SLANT = 0.08  # how far a slab reaches back, as a share of its height
REACH = 13.0  # length of an arrow, clear of the slab that it comes from
PAD = 9.0  # between a block's frame and its slabs
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
    def back(self) -> float:
        """The x of its far right edge."""
        return self.right + self.depth

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
    """Below a stack of slabs, centred on x: the output (rows by columns, channels) and the parameters."""

    x: float
    size: str
    channels: str
    parameters: int


@dataclass(frozen=True)
class Frame:
    """Around a block, from x to x + width. `share`: of the forward pass's FLOPs, 0..1."""

    block: str
    x: float
    width: float
    share: float


@dataclass
class Drawing:
    """Slabs are in painting order: each covers part of the ones before."""

    width: float = 0.0
    height: float = HEIGHT
    slabs: list[Slab] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    shortcuts: list[Shortcut] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)  # for the legend, in the order of KINDS
    description: str = ""  # the drawing as text, for screen readers


@dataclass(frozen=True)
class Block:
    """The layers of one part of the model, with their totals."""

    name: str
    layers: list[Layer]
    totals: Totals


def draw_layers(layers: Sequence[Layer]) -> Drawing:
    """The model from left to right: a stack of slabs for each convolution and the layers applied to its output.

    A slab's height grows with the root of its side in pixels, its width with the logarithm of its channels.
    """
    drawing, all_flops = Drawing(), max(compute_totals(layers).flops, 1)
    x, last = MARGIN, None
    uses = Counter(name for layer in layers for name in layer.inputs)
    for stack in _stacks(layers):
        if last:
            start = x - (0 if last.kind == "add" else drawing.slabs[-1].depth / 2)  # from the middle of the side face
            x += REACH + (1.5 * PAD if last.block != stack[0].block else 0) + (REACH / 2 if uses[last.name] > 1 else 0)
            drawing.arrows.append(Arrow(start, x))
        x = _place_sum(drawing, stack[0], x) if stack[0].kind == "add" else _place_stack(drawing, stack, x)
        last = stack[-1]
    for block in blocks(layers):
        names = {layer.name for layer in block.layers}
        slabs = [slab for slab in drawing.slabs if slab.layer.name in names]
        left = min(slab.x for slab in slabs) - PAD
        right = max([slab.back for slab in slabs] + [one.x + RADIUS for one in drawing.sums if one.layer.name in names])
        if block.name != "input":
            drawing.frames.append(Frame(block.name, left, right + PAD - left, block.totals.flops / all_flops))
    drawing.width = max(slab.back for slab in drawing.slabs) + PAD + MARGIN
    drawing.kinds = [kind for kind in KINDS if any(layer.kind == kind for layer in layers)]
    drawing.description = " ".join(_sentences(layers))
    return drawing


def blocks(layers: Sequence[Layer]) -> list[Block]:
    """The rows of the table: layers by block, in order, with totals."""
    grouped = [(name, list(group)) for name, group in groupby(layers, key=lambda layer: layer.block)]
    return [Block(name, group, compute_totals(group)) for name, group in grouped]


def describe_layer(layer: Layer) -> tuple[str, str]:
    """The label of a slab (`conv 3x3`, `BN`), and the description in the table."""
    knobs = layer.knobs
    match layer.kind:
        case "conv":
            size = knobs["size"]
            if knobs["is_frozen"]:
                training = "only its bias is trained" if knobs["has_bias"] else "not trained"
                return f"whiten {size}×{size}", f"{size} × {size} convolution, whitening, {training}"
            return f"conv {size}×{size}", f"{size} × {size} convolution"
        case "batch_norm":
            ghost = knobs.get("ghost_batch")
            over = f" over {ghost} images" if ghost else ""
            return (
                "ghost BN" if ghost else "BN",
                f"Batch norm{over}{'' if knobs['is_scaled'] else ', scale fixed at 1'}",
            )
        case "activation":
            name = {"relu": "ReLU", "celu": "CELU", "gelu": "GELU"}.get(knobs["function"], str(knobs["function"]))
            return name, f"{name}, alpha {knobs['alpha']:g}" if name == "CELU" else name
        case "max_pool":
            return f"pool {knobs['size']}×{knobs['size']}", f"{knobs['size']} × {knobs['size']} max pooling"
        case "dropout":
            return "dropout", f"Dropout of {knobs['rate'] * 100:g} %"
        case "add":
            return "sum", f"Sum of {' and '.join(layer.inputs)}"
        case "scale":
            return f"× {knobs['factor']:.3g}", f"Times {knobs['factor']:g}"
    return KINDS[layer.kind].lower(), KINDS[layer.kind]


def format_shape(layer: Layer) -> str:
    """Rows, columns and channels (with multiplication signs), or the number of features."""
    return "×".join(str(size) for size in layer.shape)


def format_flops(flops: int) -> str:
    """Floating-point operations with four digits: 0.7585 GFLOP, 12.13 MFLOP."""
    return f"{format_digits(flops / 1e9)} GFLOP" if flops >= 1e8 else f"{format_digits(flops / 1e6)} MFLOP"


def format_digits(value: float) -> str:
    """Four significant digits, never an exponent: 0.01024, 151.0, 38,655; 0 is 0."""
    places = 3 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:,.{max(places, 0)}f}"


def _stacks(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    """Layers drawn without an arrow between them: of the same shape, block and branch."""
    uses = Counter(name for layer in layers for name in layer.inputs)
    stack: list[Layer] = []
    for layer in layers:
        if stack and (
            layer.kind in {"conv", "add", "dense"}
            or _size(layer) != _size(stack[-1])
            or layer.block != stack[-1].block
            or layer.inputs != (stack[-1].name,)
            or stack[-1].kind == "add"
            or uses[stack[-1].name] > 1
        ):
            yield stack
            stack = []
        stack.append(layer)
    yield stack


def _size(layer: Layer) -> tuple[int, int]:
    """(side in pixels, channels); features count as channels of a single pixel."""
    return (layer.shape[0], layer.shape[-1]) if len(layer.shape) > 1 else (1, layer.shape[0])


def _place_stack(drawing: Drawing, stack: list[Layer], left: float) -> float:
    """Returns the x of its right end, the side face included."""
    side, channels = _size(stack[0])
    height = 26 + 32 * math.sqrt(side)
    depth = SLANT * height
    x = left
    for layer in stack:
        has_channels = layer.kind in {"input", "conv", "dense"}
        width = max(9 + 4 * math.log2(channels), BAND) if has_channels else BAND
        drawing.slabs.append(Slab(layer, x, AXIS - height / 2 + depth / 2, width, height, depth))
        x += width
    size = f"{side}×{side}" if len(stack[0].shape) > 1 else ""
    parameters = sum(layer.parameters for layer in stack)
    drawing.captions.append(Caption((left + x) / 2, size, f"{channels}", parameters))
    return x + depth


def _place_sum(drawing: Drawing, layer: Layer, x: float) -> float:
    """The circle, and the shortcut to it from the input that is not the previous layer."""
    circle = Sum(layer, x + RADIUS, AXIS)
    drawing.sums.append(circle)
    trunk = next(index for index, slab in enumerate(drawing.slabs) if slab.layer.name == layer.inputs[0])
    high = min(slab.y - slab.depth for slab in drawing.slabs[trunk:]) - HEADROOM
    start = drawing.slabs[trunk].back + REACH / 2
    drawing.shortcuts.append(Shortcut(start, circle.x, AXIS, high, AXIS - RADIUS))
    return x + 2 * RADIUS


def _sentences(layers: Sequence[Layer]) -> Iterator[str]:
    yield "From left to right."
    for block in blocks(layers):
        stacks = [
            (", ".join(describe_layer(layer)[0] for layer in stack), stack[-1]) for stack in _stacks(block.layers)
        ]
        outputs = "; ".join(f"{labels} gives {format_shape(last)}" for labels, last in stacks)
        yield f"{block.name.capitalize()}: {outputs}."
    for layer in layers:
        if layer.kind == "add":
            yield f"A shortcut leads from {layer.inputs[0]} to {layer.name}, skipping the layers between."
