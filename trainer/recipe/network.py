"""The model part of a recipe: settings only. trainer/models turns them into layers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from trainer.recipe.knobs import Part, knob


class ResNet9(Part):
    """David Page's ResNet9 as the original experiment wrote it; 6,577,600 parameters at width 64."""

    name: Literal["resnet9"] = knob("resnet9", "Network", "The nine-layer residual network of the DAWNBench record.")
    width: int = knob(
        64,
        "Width",
        "Channels of the first layer; later layers have 2, 4 and 8 times as many.",
        unit="channels",
        ge=2,
        le=512,
    )
    identity: bool = knob(
        False, "Identity layers", "Insert the two identity layers that the original experiment tried."
    )
    dropout: float = knob(0.1, "Dropout", "Fraction of activations dropped inside both residual branches.", ge=0, lt=1)
    bn_momentum: float = knob(
        0.1,
        "Batch-norm momentum",
        "Fraction of the old running statistics kept at each step (Keras' convention; PyTorch's 0.1 is 0.9 here). "
        "The original experiment's 0.1 remembers only the last few batches.",
        ge=0,
        lt=1,
    )
    bn_epsilon: float = knob(
        1e-5, "Batch-norm epsilon", "Added to each variance before taking its square root.", gt=0, le=0.1
    )
    bn_scale: Literal["trained", "frozen"] = knob(
        "trained", "Batch-norm scale", "Whether the scale (gamma) is trained, or fixed at 1 as in Page's bag of tricks."
    )
    ghost_batch: int | None = knob(
        None,
        "Ghost batch",
        "Compute batch-norm statistics over groups of this many images. Empty: over the whole batch.",
        unit="images",
        ge=2,
        le=16_384,
    )
    activation: Literal["relu", "celu"] = knob(
        "relu", "Activation", "relu, or celu, the smooth activation of Page's bag of tricks."
    )
    celu_alpha: float = knob(0.3, "CELU alpha", "CELU saturates at minus this value. No effect with relu.", gt=0, le=10)
    pool: Literal["after", "before"] = knob(
        "after", "Pooling", "Pool after the activation, or before the batch norm (fewer values to normalise)."
    )
    whiten: bool = knob(
        False,
        "Whitening",
        "Start with 27 frozen filters that whiten 3 x 3 patches of the training images, then a 1 x 1 convolution.",
    )
    init: Literal["keras", "pytorch"] = knob(
        "keras",
        "Initial weights",
        "Keras' default (Glorot uniform), or PyTorch's: uniform with a third of the variance of He initialisation.",
    )
    logit_scale: float = knob(1.0, "Logit scale", "Factor applied to the outputs of the last layer.", gt=0, le=1000)


class Airbench(Part):
    """Keller Jordan's airbench94 network: whitening, three groups of two convolutions; 1.97 million parameters."""

    name: Literal["airbench"] = knob("airbench", "Network", "The small network of airbench94, made for ten epochs.")
    width: int = knob(
        64,
        "Width",
        "Channels of the first group; the other two have 4 times as many.",
        unit="channels",
        ge=2,
        le=512,
    )
    bn_momentum: float = knob(
        0.6, "Batch-norm momentum", "Fraction of the old running statistics kept at each step.", ge=0, lt=1
    )
    bn_epsilon: float = knob(
        1e-12, "Batch-norm epsilon", "Added to each variance before taking its square root.", gt=0, le=0.1
    )
    bias_epochs: float = knob(
        3,
        "Whitening bias",
        "Epochs for which the bias of the whitening layer is trained. Its filters stay frozen.",
        unit="epochs",
        ge=0,
        le=10_000,
    )
    init: Literal["pytorch"] = knob(
        "pytorch",
        "Initial weights",
        "PyTorch's default; the first filters of each convolution start as an identity mapping.",
    )
    logit_scale: float = knob(1 / 9, "Logit scale", "Factor applied to the outputs of the last layer.", gt=0, le=1000)


def _discriminate(value: Any) -> Any:
    """The network's name. Missing means resnet9: recipes from before there was a choice have no name."""
    return value.get("name", "resnet9") if isinstance(value, dict) else getattr(value, "name", None)


Model = Annotated[
    Annotated[ResNet9, Tag("resnet9")] | Annotated[Airbench, Tag("airbench")],
    Discriminator(_discriminate),
]
