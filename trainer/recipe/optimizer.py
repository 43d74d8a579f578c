"""The optimiser part of a recipe, the loss, and the average of the weights: knobs only.

Must not know NumPy, any ML framework, or the rest of the recipe.
"""

from __future__ import annotations

from typing import Literal

from trainer.recipe.knobs import Part, knob


class WeightDecay(Part):
    """How weights are pulled to zero. The three kinds differ in strength for the same value."""

    kind: Literal["l2", "coupled", "decoupled"] = knob(
        "l2",
        "Kind",
        "l2 adds value·w² to the loss (gradient 2·value·w); coupled adds value·w to the gradient (PyTorch's "
        "weight_decay); decoupled takes lr·value·w off the weight, outside the momentum.",
    )
    value: float = knob(5e-4, "Value", "Strength; 0 switches it off.", ge=0, le=1)
    on: Literal["conv", "all"] = knob("conv", "On", "Convolution kernels only, or every trainable weight.")


class SGD(Part):
    """Stochastic gradient descent with momentum, as Keras writes it."""

    name: Literal["sgd"] = knob("sgd", "Optimiser", "Stochastic gradient descent.")
    momentum: float = knob(0.9, "Momentum", "Share of the last step that is repeated.", ge=0, lt=1)
    nesterov: bool = knob(True, "Nesterov", "Look ahead by one momentum step.")
    decay: float = knob(
        1e-5,
        "Time decay",
        "Every rate is divided by 1 + decay·step, whatever the schedule.",
        unit="per step",
        ge=0,
        le=1,
    )
    bias_rate: float = knob(
        1.0,
        "Bias rate",
        "Batch norms' biases learn so many times faster, and their weight decay is divided by it (64 in Page's bag of "
        "tricks).",
        unit="×",
        gt=0,
        le=1000,
    )
    weight_decay: WeightDecay = WeightDecay()


class Loss(Part):
    """Categorical cross-entropy of the net's softmax. What is shown as loss is always the mean over pictures."""

    label_smoothing: float = knob(
        0.0, "Label smoothing", "Share of each label that is spread over all classes.", ge=0, lt=1
    )
    reduction: Literal["mean", "sum"] = knob(
        "mean",
        "Reduction",
        "What is descended: the mean over the batch, or the sum, whose gradient is batch-size times as large.",
    )


class Ema(Part):
    """A running average of weights and batch-norm statistics, which is what validation then sees."""

    decay: float = knob(0.99, "Decay", "Share of the average kept per step.", gt=0, lt=1)
    every: int = knob(
        5, "Every", "Averaged each so many steps, by the decay to the power of that.", unit="steps", ge=1, le=1000
    )
    rise: float = knob(
        0.0,
        "Rise",
        "The decay is multiplied by the share of the run that is done, to this power (3 in airbench); 0: it is not.",
        ge=0,
        le=10,
    )
    put_back: bool = knob(
        False, "Put back", "Training goes on from the average each time (a kind of lookahead, as in airbench)."
    )
