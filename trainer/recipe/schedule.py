"""The learning-rate schedule of a recipe: settings only. The formulas are in learning_rates.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from trainer.recipe.knobs import Part, check_not_below, error_at, knob

Rate = Annotated[float, Field(ge=0, le=100)]
Knot = Annotated[list[float], Field(min_length=2, max_length=2)]


def _kind(name: str) -> Any:
    return knob(name, "Schedule", "How the learning rate changes during the run.")


def _rate(default: float, title: str, help: str) -> Any:  # noqa: A002
    return knob(default, title, help, ge=0, le=100)


def _half_cycle() -> Any:
    return knob(
        4,
        "Half cycle",
        "Epochs from the base rate to the peak. The run ends at the base rate if its epochs are a multiple of two half "
        "cycles.",
        unit="epochs",
        gt=0,
        le=10_000,
    )


class Constant(Part):
    """The same learning rate at every step."""

    kind: Literal["constant"] = _kind("constant")
    lr: float = _rate(0.1, "Learning rate", "Used at every step.")


class _Cyclical(Part):
    kind: str = _kind("")  # first, so that forms show it first
    base_lr: float = _rate(0.001, "Base learning rate", "Start and end of each cycle.")
    max_lr: float = _rate(0.4, "Peak learning rate", "Maximum of the first cycle.")
    step_epochs: float = _half_cycle()

    @field_validator("max_lr")
    @classmethod
    def _peak_is_not_below_base(cls, value: float, info: ValidationInfo) -> float:
        return check_not_below(value, "base_lr", info)


class Triangular(_Cyclical):
    """Smith's cyclical learning rate: rises linearly from base to peak in half a cycle, then falls linearly."""

    kind: Literal["triangular"] = _kind("triangular")


class Triangular2(_Cyclical):
    """Cyclical; each cycle is half as high as the previous one."""

    kind: Literal["triangular2"] = _kind("triangular2")


class ExpRange(_Cyclical):
    """Cyclical; the height is multiplied by gamma at every step."""

    kind: Literal["exp_range"] = _kind("exp_range")
    gamma: float = knob(0.99994, "Gamma", "Factor applied to the cycle's height at each step.", gt=0, le=1)


class Sine(_Cyclical):
    """The original experiment's policy: heights are scaled by 0.5·(1 + sin(x·π/2.5)), x being the cycle or the step."""

    kind: Literal["sine"] = _kind("sine")
    scale_mode: Literal["cycle", "iterations"] = knob(
        "cycle",
        "Scale by",
        "cycle: x is the number of the cycle, from 1, so each peak has its own height; iterations: x is the step, from "
        "0, so the height oscillates with a period of 5 steps.",
    )


class Piecewise(Part):
    """Linear interpolation between knots, as in DavidNet; constant before the first and after the last knot."""

    kind: Literal["piecewise"] = _kind("piecewise")
    knots: list[Knot] = knob(
        [[0.0, 0.0], [5.0, 0.4], [24.0, 0.0]],
        "Knots",
        "Epoch and learning rate of each knot, such as 0:0, 5:0.4, 24:0. Epochs must increase.",
        min_length=1,
        max_length=100,
    )

    @field_validator("knots")
    @classmethod
    def _knots_rise(cls, knots: list[list[float]]) -> list[list[float]]:
        for index, (epoch, rate) in enumerate(knots):
            if not 0 <= epoch <= 10_000:
                raise error_at((index,), f"must lie between epoch 0 and 10000, not at {epoch:g}")
            if not 0 <= rate <= 100:
                raise error_at((index,), f"must have a rate between 0 and 100, not {rate:g}")
            if index and epoch <= knots[index - 1][0]:
                raise error_at((index,), f"must come after the knot at epoch {knots[index - 1][0]:g}")
        return knots


class Slopes(Part):
    """Rises linearly, then falls linearly, never below 0: the original experiment's version of DavidNet's schedule."""

    kind: Literal["slopes"] = _kind("slopes")
    start_lr: float = _rate(0.0, "Initial learning rate", "Used at the first step.")
    rise: float = knob(0.1068, "Rise", "Increase per epoch while rising.", unit="per epoch", ge=0, le=100)
    rise_epochs: float = knob(
        5,
        "Rising epochs",
        "Length of the rise. The original experiment does not give it; DavidNet's is 5.",
        unit="epochs",
        ge=0,
        le=10_000,
    )
    fall: float = knob(0.01059, "Fall", "Decrease per epoch after the rise.", unit="per epoch", ge=0, le=100)


class StepDecay(Part):
    """The learning rate is multiplied by a factor at regular intervals."""

    kind: Literal["step"] = _kind("step")
    lr: float = _rate(0.1, "Learning rate", "Used until the first drop.")
    factor: float = knob(0.1, "Drop factor", "Factor applied to the learning rate at each drop.", gt=0, le=1)
    every_epochs: float = knob(5, "Drop interval", "Epochs between drops.", unit="epochs", gt=0, le=10_000)


class OneCycle(Part):
    """One rise to the peak and one fall over the whole run."""

    kind: Literal["one_cycle"] = _kind("one_cycle")
    start_lr: float = _rate(0.016, "Initial learning rate", "Used at the first step.")
    max_lr: float = _rate(0.4, "Peak learning rate", "Maximum, reached at the end of the rise.")
    final_lr: float = _rate(0.0, "Final learning rate", "Used at the last step.")
    peak: float = knob(0.25, "Peak position", "Fraction of the run's steps spent rising.", gt=0, lt=1)
    shape: Literal["linear", "cosine"] = knob("linear", "Shape", "Linear or cosine rise and fall.")

    @field_validator("max_lr")
    @classmethod
    def _peak_is_not_below_start(cls, value: float, info: ValidationInfo) -> float:
        return check_not_below(value, "start_lr", info)


class CosineRestarts(Part):
    """Falls along a cosine and restarts at a peak, again and again: SGDR (Loshchilov and Hutter)."""

    kind: Literal["cosine_restarts"] = _kind("cosine_restarts")
    min_lr: float = _rate(0.0, "Minimum learning rate", "End of a whole cosine.")
    max_lr: float = _rate(0.4, "Peak learning rate", "Used at the first step.")
    period_epochs: float = knob(
        5,
        "First period",
        "Epochs until the first restart. The run ends at the minimum if its epochs are a sum of whole periods.",
        unit="epochs",
        ge=0.001,
        le=10_000,
    )
    period_factor: float = knob(
        1, "Period factor", "Each period is this many times as long as the previous one (SGDR's T_mult).", ge=1, le=100
    )
    peak_factor: float = knob(
        1,
        "Peak factor",
        "Each peak is this many times as high as the previous one, measured from the minimum.",
        gt=0,
        le=1,
    )
    fraction: float = knob(
        1,
        "Fraction of the cosine",
        "How far a period follows the cosine before the restart. 1: to the minimum, as in SGDR; 0.5: halfway down; "
        "0.25: to 85 % of the peak.",
        gt=0,
        le=1,
    )

    @field_validator("max_lr")
    @classmethod
    def _peak_is_not_below_minimum(cls, value: float, info: ValidationInfo) -> float:
        return check_not_below(value, "min_lr", info)


Schedule = Annotated[
    Constant | Triangular | Triangular2 | ExpRange | Sine | Piecewise | Slopes | StepDecay | OneCycle | CosineRestarts,
    Field(discriminator="kind"),
]
