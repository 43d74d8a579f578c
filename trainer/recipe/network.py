"""The network part of a recipe: knobs only; the layers that they make are in models/resnet9.py.

Must not know NumPy, any ML framework, or the rest of the recipe.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from trainer.recipe.knobs import Part, knob


class ResNet9(Part):
    """David Page's ResNet9 as the original experiment wrote it; 6,577,600 parameters at width 64."""

    name: Literal["resnet9"] = knob("resnet9", "Network", "The nine-layer residual net of the DAWNBench record.")
    width: int = knob(
        64,
        "Width",
        "Channels of the first layer; the others are 2, 4 and 8 times as wide.",
        unit="channels",
        ge=2,
        le=512,
    )
    identity: bool = knob(
        False, "Identity layers", "Put back the two identity layers that the original experiment tried."
    )
    dropout: float = knob(0.1, "Dropout", "Share of activations dropped inside both residual branches.", ge=0, lt=1)
    bn_momentum: float = knob(
        0.1,
        "Batch-norm momentum",
        "Share of the old running statistics kept at each step, as Keras counts it. "
        "The original's 0.1 keeps only the last batches; 0.9 is PyTorch's 0.1.",
        ge=0,
        lt=1,
    )
    bn_epsilon: float = knob(
        1e-5, "Batch-norm epsilon", "Added to each variance before its root is taken.", gt=0, le=0.1
    )
    bn_scale: Literal["trained", "frozen"] = knob(
        "trained", "Batch-norm scale", "Whether the scale (gamma) is learned, or stays 1 as in Page's bag of tricks."
    )
    ghost_batch: int | None = knob(
        None,
        "Ghost batch",
        "Normalise so many pictures at a time, not the whole batch. Empty: the whole batch.",
        unit="pictures",
        ge=2,
        le=16_384,
    )
    activation: Literal["relu", "celu"] = knob(
        "relu", "Activation", "relu, or celu: the smooth one of Page's bag of tricks."
    )
    celu_alpha: float = knob(0.3, "CELU alpha", "How far below 0 a CELU reaches. Of no effect with relu.", gt=0, le=10)
    pool: Literal["after", "before"] = knob(
        "after", "Pooling", "after the activation, or before the batch norm (fewer values to normalise)."
    )
    whiten: bool = knob(
        False,
        "Whitening",
        "Begin with 27 frozen filters that whiten 3 x 3 patches of the training pictures, then a 1 x 1 convolution.",
    )
    init: Literal["keras", "pytorch"] = knob(
        "keras",
        "Initial weights",
        "Keras' default (Glorot uniform), or PyTorch's: a third of the variance of a He-uniform layer, uniform.",
    )
    logit_scale: float = knob(1.0, "Logit scale", "What the last layer's outputs are multiplied by.", gt=0, le=1000)


class Airbench(Part):
    """Keller Jordan's airbench94 net: whitened patches, three groups of two convolutions; 1.97 million parameters."""

    name: Literal["airbench"] = knob("airbench", "Network", "The small net of airbench94, made for ten epochs.")
    width: int = knob(
        64,
        "Width",
        "Channels of the first group; the two others are 4 times as wide.",
        unit="channels",
        ge=2,
        le=512,
    )
    bn_momentum: float = knob(
        0.6, "Batch-norm momentum", "Share of the old running statistics kept at each step.", ge=0, lt=1
    )
    bn_epsilon: float = knob(
        1e-12, "Batch-norm epsilon", "Added to each variance before its root is taken.", gt=0, le=0.1
    )
    bias_epochs: float = knob(
        3,
        "Whitening bias",
        "Epochs in which the whitening layer's bias is learned; its filters never are.",
        unit="epochs",
        ge=0,
        le=10_000,
    )
    init: Literal["pytorch"] = knob(
        "pytorch", "Initial weights", "PyTorch's, and the first filters of each convolution pass their input on."
    )
    logit_scale: float = knob(1 / 9, "Logit scale", "What the last layer's outputs are multiplied by.", gt=0, le=1000)


def _name(value: Any) -> Any:
    """Which of them a value is; a recipe that does not say means the first, which was the only one once."""
    return value.get("name", "resnet9") if isinstance(value, dict) else getattr(value, "name", None)


Model = Annotated[
    Annotated[ResNet9, Tag("resnet9")] | Annotated[Airbench, Tag("airbench")],
    Discriminator(_name),
]
