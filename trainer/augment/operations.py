"""The augmentation operations of a recipe, each with its knobs. What they do to pixels is in draws.py and host.py.

Must not know any ML framework or imgaug: pydantic only.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from trainer.knobs import Part, knob, not_below


class PadCrop(Part):
    """Pad every side, then cut the picture's own size out at a random place."""

    op: Literal["pad_crop"] = knob("pad_crop", "Operation", "What is done to each picture.")
    pad: int = knob(4, "Padding", "Added on every side before the crop.", unit="pixels", ge=1, le=16)
    mode: Literal["reflect", "constant", "edge"] = knob("reflect", "Fill", "What the padding is filled with.")


class Flip(Part):
    """Mirror left and right."""

    op: Literal["flip"] = knob("flip", "Operation", "What is done to each picture.")
    p: float = knob(0.5, "Probability", "Share of the pictures that are mirrored.", ge=0, le=1)


class Cutout(Part):
    """yu4u's random eraser: one rectangle of noise or of one colour, drawn after normalisation."""

    op: Literal["cutout"] = knob("cutout", "Operation", "What is done to each picture.")
    p: float = knob(0.5, "Probability", "Share of the pictures that lose a rectangle.", ge=0, le=1)
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


Operation = Annotated[PadCrop | Flip | Cutout, Field(discriminator="op")]
