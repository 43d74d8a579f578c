"""The optimiser, the loss and the weight average of a recipe: settings only."""

from __future__ import annotations

from typing import Literal

from trainer.recipe.knobs import Part, knob


class WeightDecay(Part):
    """Pulls weights towards zero. The same value has a different strength for each kind."""

    kind: Literal["l2", "coupled", "decoupled"] = knob(
        "l2",
        "Weight decay kind",
        "l2 adds value·w² to the loss (gradient 2·value·w); coupled adds value·w to the gradient (PyTorch's "
        "weight_decay); decoupled subtracts lr·value·w from the weight, outside the momentum.",
    )
    value: float = knob(5e-4, "Weight decay", "Strength; 0 disables it.", ge=0, le=1)
    on: Literal["conv", "all"] = knob("conv", "Weight decay on", "Convolution kernels only, or all trainable weights.")


class SGD(Part):
    """Stochastic gradient descent with momentum, as implemented by Keras."""

    name: Literal["sgd"] = knob("sgd", "Optimiser", "Stochastic gradient descent.")
    momentum: float = knob(0.9, "Momentum", "Fraction of the previous update that is added to the next.", ge=0, lt=1)
    nesterov: bool = knob(True, "Nesterov", "Use Nesterov momentum.")
    decay: float = knob(
        1e-5,
        "Time decay",
        "Divides the scheduled learning rate by 1 + decay·step.",
        unit="per step",
        ge=0,
        le=1,
    )
    bias_rate: float = knob(
        1.0,
        "Batch-norm bias rate",
        "Multiplies the learning rate of batch-norm biases and divides their weight decay (64 in Page's bag of "
        "tricks).",
        unit="×",
        gt=0,
        le=1000,
    )
    weight_decay: WeightDecay = WeightDecay()


class Loss(Part):
    """Categorical cross-entropy. The loss reported is always the mean over images."""

    label_smoothing: float = knob(
        0.0, "Label smoothing", "Share of each label that is spread evenly over all classes.", ge=0, lt=1
    )
    reduction: Literal["mean", "sum"] = knob(
        "mean",
        "Loss reduction",
        "Minimise the mean over the batch, or the sum, whose gradient is larger by a factor of the batch size.",
    )


class Ema(Part):
    """An exponential moving average of weights and batch-norm statistics, used for validation."""

    decay: float = knob(0.99, "EMA decay", "Fraction of the average kept per step.", gt=0, lt=1)
    every: int = knob(
        5,
        "EMA interval",
        "Update the average every this many steps, with the decay raised to that power.",
        unit="steps",
        ge=1,
        le=1000,
    )
    rise: float = knob(
        0.0,
        "EMA warm-up",
        "Multiply the decay by (completed fraction of the run) to this power (3 in airbench). 0: constant decay.",
        ge=0,
        le=10,
    )
    put_back: bool = knob(
        False,
        "Continue from average",
        "Copy the average back into the weights after each update (a form of lookahead, as in airbench).",
    )
