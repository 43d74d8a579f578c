"""The augmentation operations of a recipe, each with its knobs. What they do to pixels is in draws.py and host.py.

Operations on whole bytes come first, in the recipe's order; then pixels are normalised; then rectangles are
erased, in the recipe's order. Must not know any ML framework or imgaug: pydantic only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from trainer.recipe.knobs import Part, knob, mistake_at, not_below

SIDE = 32  # pixels: height and width of stored pictures and of the net's input

Fill = Literal["reflect", "constant", "edge"]


def _op(name: str) -> Any:
    return knob(name, "Operation", "What is done to each picture.")


def _p(default: float, what: str) -> Any:
    return knob(default, "Probability", f"Share of the pictures that are {what}.", ge=0, le=1)


def _fill(default: Fill, what: str) -> Any:
    return knob(default, "Fill", f"What {what} is filled with: mirrored pixels, black, or the pixel at the edge.")


class Rotate(Part):
    """Turn about the middle, by an angle drawn evenly; bilinear."""

    op: Literal["rotate"] = _op("rotate")
    degrees: float = knob(15, "Most degrees", "Either way.", unit="degrees", gt=0, le=180)
    p: float = _p(1, "turned")
    mode: Fill = _fill("constant", "what comes in from outside")


class Flip(Part):
    """Mirror left and right."""

    op: Literal["flip"] = _op("flip")
    p: float = _p(0.5, "mirrored")
    alternate: bool = knob(
        False,
        "In turn",
        "By chance in the first epoch only; from then on every picture is mirrored and not, by turns (as in airbench).",
    )


class Pad(Part):
    """Make the picture larger on every side; a crop must follow."""

    op: Literal["pad"] = _op("pad")
    pad: int = knob(4, "Padding", "Added on every side.", unit="pixels", ge=1, le=16)
    mode: Fill = _fill("reflect", "the padding")


class Crop(Part):
    """Cut a square out at a random place."""

    op: Literal["crop"] = _op("crop")
    size: int = knob(SIDE, "Size", "Height and width of what is kept.", unit="pixels", ge=1, le=96)


class PadCrop(Part):
    """Pad every side, then cut the picture's own size out at a random place."""

    op: Literal["pad_crop"] = _op("pad_crop")
    pad: int = knob(4, "Padding", "Added on every side before the crop.", unit="pixels", ge=1, le=16)
    mode: Fill = _fill("reflect", "the padding")


class Blur(Part):
    """Gaussian blur, its width drawn evenly."""

    op: Literal["blur"] = _op("blur")
    p: float = _p(0.5, "blurred")
    sigma_l: float = knob(0, "Least sigma", "Standard deviation of the blur.", unit="pixels", ge=0, le=10)
    sigma_h: float = knob(0.5, "Greatest sigma", "Standard deviation of the blur.", unit="pixels", ge=0, le=10)

    @field_validator("sigma_h")
    @classmethod
    def _range_is_in_order(cls, value: float, info: ValidationInfo) -> float:
        return not_below(value, "sigma_l", info)


class Cutout(Part):
    """yu4u's random eraser: one rectangle of noise or of one colour, drawn after normalisation."""

    op: Literal["cutout"] = _op("cutout")
    p: float = _p(0.5, "given a rectangle")
    s_l: float = knob(0.02, "Least area", "Share of the picture's area.", gt=0, le=1)
    s_h: float = knob(0.4, "Greatest area", "Share of the picture's area.", gt=0, le=1)
    r_1: float = knob(0.3, "Least aspect", "Height over width.", gt=0, le=100)
    r_2: float = knob(1 / 0.3, "Greatest aspect", "Height over width.", gt=0, le=100)
    v_l: float = knob(0, "Least value", "Of the fill, in normalised units.", ge=-1000, le=1000)
    v_h: float = knob(1, "Greatest value", "Of the fill, in normalised units.", ge=-1000, le=1000)
    pixel_level: bool = knob(True, "Noise", "Every pixel its own value; otherwise one value for the rectangle.")

    @field_validator("s_h", "r_2", "v_h")
    @classmethod
    def _range_is_in_order(cls, value: float, info: ValidationInfo) -> float:
        return not_below(value, {"s_h": "s_l", "r_2": "r_1", "v_h": "v_l"}[str(info.field_name)], info)


class CutoutSquare(Part):
    """Page's cutout: one square of fixed size, wholly inside the picture, drawn after normalisation."""

    op: Literal["cutout_square"] = _op("cutout_square")
    size: int = knob(8, "Size", "Height and width of the square.", unit="pixels", ge=1, le=SIDE)
    p: float = _p(1, "given a square")
    value: float = knob(0, "Value", "Of the fill, in normalised units.", ge=-1000, le=1000)


Operation = Annotated[Rotate | Flip | Pad | Crop | PadCrop | Blur | Cutout | CutoutSquare, Field(discriminator="op")]

ERASERS = (Cutout, CutoutSquare)  # work on normalised pixels


def order_done(operations: Sequence[Operation]) -> list[int]:
    """Positions in the recipe's list, in the order in which the operations are done: erasers come last."""
    return sorted(range(len(operations)), key=lambda position: isinstance(operations[position], ERASERS))


def sides(operations: Sequence[Operation], side: int = SIDE) -> list[int]:
    """The picture's height and width in pixels that each operation meets, by position, then the last one's result.

    Raises a mistake that names the knob where one does not fit another.
    """
    met = [side] * len(operations)
    for position in order_done(operations):
        operation, met[position] = operations[position], side
        match operation:
            case Pad():
                _reflects(operation, position, side)
                side += 2 * operation.pad
            case PadCrop():
                _reflects(operation, position, side)
            case Crop():
                if operation.size > side:
                    sentence = f"cannot cut {operation.size} pixels out of a picture that is {side} wide here"
                    raise mistake_at((position, "crop", "size"), sentence)
                side = operation.size
    if side != SIDE:
        last = max(position for position, one in enumerate(operations) if isinstance(one, Pad | Crop))
        op = operations[last].op
        mend = f"crop to {SIDE} after it" if side > SIDE else "pad after it, or crop less"
        raise mistake_at(
            (last, op, "pad" if op == "pad" else "size"),
            f"leaves pictures of {side} x {side} pixels where the net takes {SIDE} x {SIDE}: {mend}",
        )
    return [*met, side]


def _reflects(operation: Pad | PadCrop, position: int, side: int) -> None:
    """A mirror shows no more than there is: NumPy and imgaug would fill the rest in different ways."""
    if operation.mode == "reflect" and operation.pad >= side:
        raise mistake_at((position, operation.op, "pad"), f"cannot mirror {operation.pad} pixels of {side}")


class Mixup(Part):
    """Two pictures laid over each other, and their labels with them (Zhang et al., arXiv 1710.09412)."""

    alpha: float = knob(
        0.2, "Alpha", "Each picture's share is drawn from Beta(alpha, alpha): small values mix little.", gt=0, le=100
    )
    pairing: Literal["disjoint", "permute"] = knob(
        "disjoint",
        "Pairs",
        "disjoint: two batches of pictures make one, so that an epoch has half the steps (yu4u's generator); "
        "permute: a batch is mixed with itself in another order.",
    )
    when: Literal["before", "after"] = knob(
        "before", "When", "Mixed before the other operations (yu4u's generator), or after all of them."
    )


TOPS = {"0..1": 1.0, "0..127": 127.0, "0..255": 255.0}
