"""The recipe: everything that decides a training result, every knob once. Data, never code.

The form, the API, the command line and the child process all read their knobs from here.
Must not know any ML framework, the app, or NumPy: pydantic and the standard library only.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from trainer.augment.operations import Cutout, Flip, Operation, PadCrop
from trainer.knobs import Part, knob, not_below

DATASET_PATTERN = r"^(digits|cifar10|cifar100|folder:[A-Za-z0-9][A-Za-z0-9._-]{0,63})$"


class Dataset(Part):
    """Which pictures to learn from, and how many of them."""

    name: str = knob(
        "digits",
        "Data set",
        "digits ships with Pitwall; cifar10 and cifar100 are read from the data folder or downloaded; "
        "folder:NAME is a folder of your own pictures.",
        pattern=DATASET_PATTERN,
    )
    train_limit: int | None = knob(
        None,
        "Training pictures",
        "Use only the first so many. Empty: all.",
        ge=1,
        le=10_000_000,
    )
    val_limit: int | None = knob(
        None,
        "Validation pictures",
        "Use only the first so many. Empty: all.",
        ge=1,
        le=10_000_000,
    )
    val_from_train: int | None = knob(
        None,
        "Hold out of training",
        "Validate on so many training pictures, kept out of training, not on the published test split.",
        unit="pictures",
        ge=1,
        le=10_000_000,
    )


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


class Constant(Part):
    """One learning rate from the first step to the last."""

    kind: Literal["constant"] = knob("constant", "Schedule", "How the learning rate moves during the run.")
    lr: float = knob(0.1, "Learning rate", "The rate of every step.", ge=0, le=100)


class Triangular(Part):
    """Smith's cyclical learning rate: straight up from base to peak in half a cycle, straight down again."""

    kind: Literal["triangular"] = knob("triangular", "Schedule", "How the learning rate moves during the run.")
    base_lr: float = knob(0.001, "Base rate", "Where each cycle starts and ends.", ge=0, le=100)
    max_lr: float = knob(0.4, "Peak rate", "The top of each cycle.", ge=0, le=100)
    step_epochs: float = knob(
        4,
        "Half cycle",
        "Epochs from the base to the peak. A run of 2 half cycles ends at the base.",
        unit="epochs",
        gt=0,
        le=10_000,
    )

    @field_validator("max_lr")
    @classmethod
    def _peak_isnot_below_base(cls, value: float, info: ValidationInfo) -> float:
        return not_below(value, "base_lr", info)


Schedule = Annotated[Constant | Triangular, Field(discriminator="kind")]


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
    weight_decay: WeightDecay = WeightDecay()


class Recipe(Part):
    """A complete recipe. `Recipe()` is the seed network of the original experiment on the embedded digits."""

    dataset: Dataset = Dataset()
    model: ResNet9 = ResNet9()
    schedule: Schedule = Triangular()
    optimizer: SGD = SGD()
    augment: list[Operation] = knob(
        [PadCrop(), Flip(), Cutout()],
        "Augmentation",
        "Done to each training picture, in this order.",
        max_length=16,
    )
    augment_engine: Literal["imgaug"] = knob(
        "imgaug", "Augmentation engine", "Where the pictures are changed: imgaug on the host."
    )
    normalize: Literal["0..1", "0..127", "0..255", "standardised"] = knob(
        "0..1",
        "Input range",
        "Pixel values the net sees; standardised: mean 0 and deviation 1 per channel of the training set.",
    )
    last_batch: Literal["keep", "drop"] = knob(
        "keep", "Last batch", "Train on the smaller last batch of an epoch, or leave it out."
    )
    epochs: int = knob(20, "Epochs", "Times that each picture is seen.", ge=1, le=10_000)
    batch_size: int = knob(512, "Batch size", "Pictures per step.", unit="pictures", ge=1, le=16_384)
    seed: int = knob(0, "Seed", "Decides initial weights, order and augmentation.", ge=0, le=2**32 - 1)
    precision: Literal["float32"] = knob("float32", "Precision", "Number format of the computation.")
    backend: Literal["tensorflow"] = knob("tensorflow", "Backend", "Framework below Keras.")
    target_accuracy: float = knob(
        0.94, "Target accuracy", "Validation accuracy whose first reaching is timed, as a share.", gt=0, le=1
    )


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 (64 hex digits) of the canonical recipe without `seed` and `target_accuracy`.

    Equal for repeats of one experiment.
    """
    content = recipe.model_dump(mode="json", exclude={"seed", "target_accuracy"})
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
