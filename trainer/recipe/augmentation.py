"""The augmentation operations of a recipe and their settings. trainer/augment applies them to images.

Operations on uint8 images run first, in the recipe's order; then images are normalised; then cutouts run, again in the
recipe's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from trainer.recipe.knobs import Part, check_not_below, error_at, knob

SIDE = 32  # pixels: height and width of stored images and of the model's input

Fill = Literal["reflect", "constant", "edge"]


def _operation_name(name: str) -> Any:
    return knob(name, "Operation", "Applied to each image.")


def _probability(default: float, effect: str) -> Any:
    return knob(default, "Probability", f"Fraction of images that are {effect}.", ge=0, le=1)


def _fill(default: Fill, area: str) -> Any:
    return knob(default, "Fill", f"Fill {area} with mirrored pixels, black, or the nearest edge pixel.")


class Rotate(Part):
    """Rotate about the centre by a uniformly random angle, with bilinear interpolation."""

    op: Literal["rotate"] = _operation_name("rotate")
    degrees: float = knob(15, "Maximum angle", "In either direction.", unit="degrees", gt=0, le=180)
    p: float = _probability(1, "rotated")
    mode: Fill = _fill("constant", "the uncovered corners")


class Flip(Part):
    """Flip horizontally."""

    op: Literal["flip"] = _operation_name("flip")
    p: float = _probability(0.5, "flipped")
    alternate: bool = knob(
        False,
        "Alternate",
        "Flip at random in the first epoch only, then flip each image every other epoch (as in airbench).",
    )


class Pad(Part):
    """Enlarge the image on every side; a crop must follow."""

    op: Literal["pad"] = _operation_name("pad")
    pad: int = knob(4, "Padding", "Added on every side.", unit="pixels", ge=1, le=16)
    mode: Fill = _fill("reflect", "the padding")


class Crop(Part):
    """Crop a square at a random position."""

    op: Literal["crop"] = _operation_name("crop")
    size: int = knob(SIDE, "Size", "Height and width of the crop.", unit="pixels", ge=1, le=96)


class PadCrop(Part):
    """Pad every side, then crop back to the original size at a random position."""

    op: Literal["pad_crop"] = _operation_name("pad_crop")
    pad: int = knob(4, "Padding", "Added on every side before the crop.", unit="pixels", ge=1, le=16)
    mode: Fill = _fill("reflect", "the padding")


class Blur(Part):
    """Gaussian blur with a uniformly random sigma."""

    op: Literal["blur"] = _operation_name("blur")
    p: float = _probability(0.5, "blurred")
    sigma_l: float = knob(0, "Minimum sigma", "Standard deviation of the blur.", unit="pixels", ge=0, le=10)
    sigma_h: float = knob(0.5, "Maximum sigma", "Standard deviation of the blur.", unit="pixels", ge=0, le=10)

    @field_validator("sigma_h")
    @classmethod
    def _range_is_in_order(cls, value: float, info: ValidationInfo) -> float:
        return check_not_below(value, "sigma_l", info)


class Cutout(Part):
    """yu4u's random eraser: one rectangle of noise or of a single value, after normalisation."""

    op: Literal["cutout"] = _operation_name("cutout")
    p: float = _probability(0.5, "given a rectangle")
    s_l: float = knob(0.02, "Minimum area", "Fraction of the image's area.", gt=0, le=1)
    s_h: float = knob(0.4, "Maximum area", "Fraction of the image's area.", gt=0, le=1)
    r_1: float = knob(0.3, "Minimum aspect ratio", "Height over width.", gt=0, le=100)
    r_2: float = knob(1 / 0.3, "Maximum aspect ratio", "Height over width.", gt=0, le=100)
    v_l: float = knob(0, "Minimum value", "Lower bound of the fill, in normalised units.", ge=-1000, le=1000)
    v_h: float = knob(1, "Maximum value", "Upper bound of the fill, in normalised units.", ge=-1000, le=1000)
    pixel_level: bool = knob(True, "Noise", "A random value per pixel instead of one per rectangle.")

    @field_validator("s_h", "r_2", "v_h")
    @classmethod
    def _range_is_in_order(cls, value: float, info: ValidationInfo) -> float:
        return check_not_below(value, {"s_h": "s_l", "r_2": "r_1", "v_h": "v_l"}[str(info.field_name)], info)


class CutoutSquare(Part):
    """Page's cutout: one square of fixed size, entirely inside the image, after normalisation."""

    op: Literal["cutout_square"] = _operation_name("cutout_square")
    size: int = knob(8, "Size", "Height and width of the square.", unit="pixels", ge=1, le=SIDE)
    p: float = _probability(1, "given a square")
    value: float = knob(0, "Fill value", "In normalised units.", ge=-1000, le=1000)


Operation = Annotated[Rotate | Flip | Pad | Crop | PadCrop | Blur | Cutout | CutoutSquare, Field(discriminator="op")]

ERASERS = (Cutout, CutoutSquare)  # work on normalised pixels


def execution_order(operations: Sequence[Operation]) -> list[int]:
    """Positions in the recipe's list in the order of execution: erasers come last."""
    return sorted(range(len(operations)), key=lambda position: isinstance(operations[position], ERASERS))


def input_sides(operations: Sequence[Operation], side: int = SIDE) -> list[int]:
    """Height and width in pixels of each operation's input, by position, followed by the final size.

    Raises ValidationError, with the path of the setting, if an operation does not fit or the final size is not SIDE.
    """
    inputs = [side] * len(operations)
    for position in execution_order(operations):
        operation, inputs[position] = operations[position], side
        match operation:
            case Pad():
                _check_reflection(operation, position, side)
                side += 2 * operation.pad
            case PadCrop():
                _check_reflection(operation, position, side)
            case Crop():
                if operation.size > side:
                    message = f"cannot cut {operation.size} pixels out of an image that is {side} wide here"
                    raise error_at((position, "crop", "size"), message)
                side = operation.size
    if side != SIDE:
        last = max(position for position, one in enumerate(operations) if isinstance(one, Pad | Crop))
        op = operations[last].op
        fix = f"crop to {SIDE} after it" if side > SIDE else "pad after it, or crop less"
        raise error_at(
            (last, op, "pad" if op == "pad" else "size"),
            f"leaves images of {side} x {side} pixels where the model takes {SIDE} x {SIDE}: {fix}",
        )
    return [*inputs, side]


def _check_reflection(operation: Pad | PadCrop, position: int, side: int) -> None:
    """NumPy and imgaug differ when the padding is wider than the image."""
    if operation.mode == "reflect" and operation.pad >= side:
        raise error_at((position, operation.op, "pad"), f"cannot mirror {operation.pad} pixels of {side}")


class Mixup(Part):
    """Blends pairs of images and their labels (Zhang et al., arXiv 1710.09412)."""

    alpha: float = knob(
        0.2,
        "Alpha",
        "The blending weight is drawn from Beta(alpha, alpha); small values blend little.",
        gt=0,
        le=100,
    )
    pairing: Literal["disjoint", "permute"] = knob(
        "disjoint",
        "Pairs",
        "disjoint: two batches are blended into one, so an epoch has half the steps (yu4u's generator); "
        "permute: a batch is blended with a permutation of itself.",
    )
    when: Literal["before", "after"] = knob(
        "before", "Mixup timing", "Before the other operations (yu4u's generator), or after all of them."
    )


INPUT_MAX = {"0..1": 1.0, "0..127": 127.0, "0..255": 255.0}  # by Recipe.normalize
