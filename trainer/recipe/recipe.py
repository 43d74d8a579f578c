"""The recipe: every setting that determines a training result, as data.

The form, the API, the command line and the child process all read their settings from here. Larger parts have their own
modules: network, schedule, optimizer, augmentation.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import field_validator, model_validator

from trainer.recipe.augmentation import Cutout, Flip, Mixup, Operation, PadCrop, input_sides
from trainer.recipe.knobs import Part, error_at, knob
from trainer.recipe.network import Model, ResNet9
from trainer.recipe.optimizer import SGD, Ema, Loss
from trainer.recipe.schedule import Schedule, Triangular

DATASET_PATTERN = r"^(digits|cifar10|cifar100|folder:[A-Za-z0-9][A-Za-z0-9._-]{0,63})$"


# Settings added after recipes had been stored: (part, setting) and the value that means "as before".
ADDED_LATER = {("schedule", "scale_mode"): "cycle"}


class Dataset(Part):
    """Which images to train and validate on, and how many of them."""

    name: str = knob(
        "digits",
        "Data set",
        "digits ships with Pitwall; cifar10 and cifar100 are read from the data folder or downloaded; "
        "folder:NAME is a folder of your own images.",
        pattern=DATASET_PATTERN,
    )
    train_limit: int | None = knob(
        None,
        "Training images",
        "Number of training images to use, from the start of the split. Empty: all.",
        ge=1,
        le=10_000_000,
    )
    val_limit: int | None = knob(
        None,
        "Validation images",
        "Number of validation images to use, from the start of the split. Empty: all.",
        ge=1,
        le=10_000_000,
    )
    val_from_train: int | None = knob(
        None,
        "Images held out from training",
        "Number of training images to hold out for validation. Empty: validate on the published test split.",
        unit="images",
        ge=1,
        le=10_000_000,
    )


class Recipe(Part):
    """A complete recipe. `Recipe()` is the original experiment's network on the embedded digits."""

    dataset: Dataset = Dataset()
    model: Model = ResNet9()
    schedule: Schedule = Triangular()
    optimizer: SGD = SGD()
    loss: Loss = Loss()
    ema: Ema | None = None
    augment: list[Operation] = knob(
        [PadCrop(), Flip(), Cutout()],
        "Augmentation",
        "Applied to each training image in this order. Cutout always comes last, after normalisation.",
        max_length=16,
    )
    mixup: Mixup | None = None
    augment_engine: Literal["auto", "imgaug", "device"] = knob(
        "auto",
        "Augmentation engine",
        "Augment with imgaug on the host, or on the device as part of the training step. Both apply the same random "
        "values, so only speed differs. auto: device on a GPU, imgaug on a CPU.",
    )
    augment_when: Literal["each_epoch", "once"] = knob(
        "each_epoch",
        "Augmentation timing",
        "each_epoch: new random augmentation every epoch; once: images are augmented once before training and every "
        "epoch sees the same ones (faster; tried by the original experiment).",
    )
    normalize: Literal["0..1", "0..127", "0..255", "standardised"] = knob(
        "0..1",
        "Input range",
        "Range of pixel values given to the model. standardised: mean 0 and standard deviation 1 per channel, over the "
        "training set.",
    )
    last_batch: Literal["keep", "drop"] = knob(
        "keep", "Last batch", "Keep or drop the incomplete last batch of each epoch."
    )
    epochs: int = knob(20, "Epochs", "Passes over the training set.", ge=1, le=10_000)
    batch_size: int = knob(512, "Batch size", "Images per step.", unit="images", ge=1, le=16_384)
    seed: int = knob(0, "Seed", "Determines initial weights, image order and augmentation.", ge=0, le=2**32 - 1)
    precision: Literal["auto", "float32", "bfloat16"] = knob(
        "auto",
        "Precision",
        "Number format of convolutions; weights, batch norm and loss are always float32. auto: bfloat16 on GPUs that "
        "support it, otherwise float32.",
    )
    backend: Literal["tensorflow", "jax"] = knob("tensorflow", "Backend", "Framework that Keras runs on.")
    diverges_at: float | None = knob(
        1000.0,
        "Divergence threshold",
        "Stop the run when the mean loss of an epoch exceeds this. Empty: only when the loss is NaN or infinite.",
        gt=0,
    )
    tta: Literal["none", "flip", "six"] = knob(
        "none",
        "Test-time augmentation",
        "Average predictions over each image and its mirror image (flip), or over six views: the image and its mirror "
        "image, unshifted and shifted by one pixel in two directions (six, as in airbench). Ranking uses the accuracy "
        "with TTA; the accuracy without TTA is also shown.",
    )
    target_accuracy: float = knob(
        0.94, "Target accuracy", "Validation accuracy (0 to 1) for which the time to target is measured.", gt=0, le=1
    )

    @field_validator("augment")
    @classmethod
    def _operations_fit_each_other(cls, operations: list[Operation]) -> list[Operation]:
        input_sides(operations)
        return operations

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> Recipe:
        if self.mixup and self.mixup.when == "before" and self.augment_when == "once":
            raise error_at(
                ("mixup", "when"), "must be after when images are augmented once, before training (augment_when)"
            )
        ghost = getattr(self.model, "ghost_batch", None)
        if ghost and (self.batch_size % ghost or (self.last_batch == "keep" and not self._is_disjoint)):
            raise error_at(
                ("model", "resnet9", "ghost_batch"),
                f"must divide batch_size ({self.batch_size}) and needs last_batch drop: every batch is split by it",
            )
        return self

    @property
    def _is_disjoint(self) -> bool:
        return self.mixup is not None and self.mixup.pairing == "disjoint"


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 (64 hex digits) of the canonical recipe without `seed` and `target_accuracy`: equal for repeats.

    Settings of ADDED_LATER are left out while they have their old value, so that old recipes keep their hash.
    """
    content = recipe.model_dump(mode="json", exclude={"seed", "target_accuracy"})
    for (part, name), before in ADDED_LATER.items():
        if isinstance(holder := content[part], dict) and holder.get(name) == before:
            del holder[name]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
