"""The schedule part of a recipe: how the learning rate moves. Knobs only; the formulas are in schedules.py.

Must not know NumPy, any ML framework, or the rest of the recipe.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from trainer.recipe.knobs import Part, knob, mistake_at, not_below

Rate = Annotated[float, Field(ge=0, le=100)]
Knot = Annotated[list[float], Field(min_length=2, max_length=2)]


def _kind(name: str) -> Any:
    return knob(name, "Schedule", "How the learning rate moves during the run.")


def _rate(default: float, title: str, help: str) -> Any:  # noqa: A002
    return knob(default, title, help, ge=0, le=100)


def _half_cycle() -> Any:
    return knob(
        4,
        "Half cycle",
        "Epochs from the base to the peak. A run of a whole number of cycles (2 half cycles each) ends at the base.",
        unit="epochs",
        gt=0,
        le=10_000,
    )


class Constant(Part):
    """One learning rate from the first step to the last."""

    kind: Literal["constant"] = _kind("constant")
    lr: float = _rate(0.1, "Learning rate", "The rate of every step.")


class _Cyclical(Part):
    kind: str = _kind("")  # first, so that forms show it first
    base_lr: float = _rate(0.001, "Base rate", "Where each cycle starts and ends.")
    max_lr: float = _rate(0.4, "Peak rate", "The top of the first cycle.")
    step_epochs: float = _half_cycle()

    @field_validator("max_lr")
    @classmethod
    def _peak_is_not_below_base(cls, value: float, info: ValidationInfo) -> float:
        return not_below(value, "base_lr", info)


class Triangular(_Cyclical):
    """Smith's cyclical learning rate: straight up from base to peak in half a cycle, straight down again."""

    kind: Literal["triangular"] = _kind("triangular")


class Triangular2(_Cyclical):
    """The same, each cycle half as high as the one before."""

    kind: Literal["triangular2"] = _kind("triangular2")


class ExpRange(_Cyclical):
    """The same, its height multiplied by gamma at every step."""

    kind: Literal["exp_range"] = _kind("exp_range")
    gamma: float = knob(0.99994, "Gamma", "What the height is multiplied by at each step.", gt=0, le=1)


class Sine(_Cyclical):
    """The original experiment's own policy: cycle c is 0.5·(1 + sin(c·π/2.5)) as high, c from 1."""

    kind: Literal["sine"] = _kind("sine")


class Piecewise(Part):
    """Straight lines between knots, as DavidNet had them; the first and last rate hold beyond the ends."""

    kind: Literal["piecewise"] = _kind("piecewise")
    knots: list[Knot] = knob(
        [[0.0, 0.0], [5.0, 0.4], [24.0, 0.0]],
        "Knots",
        "Epoch and rate of each knot, such as 0:0, 5:0.4, 24:0. Epochs must rise.",
        min_length=1,
        max_length=100,
    )

    @field_validator("knots")
    @classmethod
    def _knots_rise(cls, knots: list[list[float]]) -> list[list[float]]:
        for index, (epoch, rate) in enumerate(knots):
            if not 0 <= epoch <= 10_000:
                raise mistake_at((index,), f"must lie between epoch 0 and 10000, not at {epoch:g}")
            if not 0 <= rate <= 100:
                raise mistake_at((index,), f"must have a rate between 0 and 100, not {rate:g}")
            if index and epoch <= knots[index - 1][0]:
                raise mistake_at((index,), f"must come after the knot at epoch {knots[index - 1][0]:g}")
        return knots


class Slopes(Part):
    """Two straight slopes, up and then down, never below 0: the original's try to write DavidNet's as lines."""

    kind: Literal["slopes"] = _kind("slopes")
    start_lr: float = _rate(0.0, "First rate", "The rate of the first step.")
    rise: float = knob(0.1068, "Rise", "Added per epoch at first.", unit="per epoch", ge=0, le=100)
    rise_epochs: float = knob(
        5,
        "Rising",
        "Epochs until it turns. The original does not say; DavidNet turns at 5.",
        unit="epochs",
        ge=0,
        le=10_000,
    )
    fall: float = knob(0.01059, "Fall", "Taken off per epoch after that.", unit="per epoch", ge=0, le=100)


class StepDecay(Part):
    """One rate, multiplied by a factor every so many epochs."""

    kind: Literal["step"] = _kind("step")
    lr: float = _rate(0.1, "First rate", "The rate until the first drop.")
    factor: float = knob(0.1, "Factor", "What the rate is multiplied by at each drop.", gt=0, le=1)
    every_epochs: float = knob(5, "Every", "Epochs between two drops.", unit="epochs", gt=0, le=10_000)


class OneCycle(Part):
    """One rise to the peak and one fall to the end, over the whole run."""

    kind: Literal["one_cycle"] = _kind("one_cycle")
    start_lr: float = _rate(0.016, "First rate", "The rate of the first step.")
    max_lr: float = _rate(0.4, "Peak rate", "The highest rate.")
    final_lr: float = _rate(0.0, "Last rate", "The rate of the last step.")
    peak: float = knob(0.25, "Peak at", "Share of the run's steps that the rise takes.", gt=0, lt=1)
    shape: Literal["linear", "cosine"] = knob("linear", "Shape", "Straight lines, or half waves of a cosine.")

    @field_validator("max_lr")
    @classmethod
    def _peak_is_not_below_start(cls, value: float, info: ValidationInfo) -> float:
        return not_below(value, "start_lr", info)


Schedule = Annotated[
    Constant | Triangular | Triangular2 | ExpRange | Sine | Piecewise | Slopes | StepDecay | OneCycle,
    Field(discriminator="kind"),
]
