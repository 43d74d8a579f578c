"""The recipe: everything that decides a training result, every knob once. Data, never code.

The form, the API, the command line and the child process all read their knobs from here; the larger parts have
files of their own (recipe_model, recipe_optimizer, recipe_schedule, augment.operations).
Must not know any ML framework, the app, or NumPy: pydantic and the standard library only.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import field_validator, model_validator

from trainer.recipe.augmentation import Cutout, Flip, Mixup, Operation, PadCrop, sides
from trainer.recipe.knobs import Part, knob, mistake_at
from trainer.recipe.network import Model, ResNet9
from trainer.recipe.optimizer import SGD, Ema, Loss
from trainer.recipe.schedule import Schedule, Triangular

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


class Recipe(Part):
    """A complete recipe. `Recipe()` is the seed network of the original experiment on the embedded digits."""

    dataset: Dataset = Dataset()
    model: Model = ResNet9()
    schedule: Schedule = Triangular()
    optimizer: SGD = SGD()
    loss: Loss = Loss()
    ema: Ema | None = None
    augment: list[Operation] = knob(
        [PadCrop(), Flip(), Cutout()],
        "Augmentation",
        "Done to each training picture, in this order; erasers after normalisation, so always last.",
        max_length=16,
    )
    mixup: Mixup | None = None
    augment_engine: Literal["auto", "imgaug", "device"] = knob(
        "auto",
        "Augmentation engine",
        "Where the pictures are changed: by imgaug on the host, or on the device, in the program of the step. Both do "
        "what was drawn for a picture, so the choice is one of speed; auto: device on a GPU, imgaug on a CPU.",
    )
    augment_when: Literal["each_epoch", "once"] = knob(
        "each_epoch",
        "Augment",
        "each_epoch: every epoch sees its own changes; once: all pictures are changed ahead of the loop, "
        "and every epoch sees the same (the original's time saver).",
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
    precision: Literal["auto", "float32", "bfloat16"] = knob(
        "auto",
        "Precision",
        "Number format of convolutions; weights, batch norm and loss are always float32. auto: bfloat16 on a GPU that "
        "has it, otherwise float32.",
    )
    backend: Literal["tensorflow", "jax"] = knob("tensorflow", "Backend", "Framework below Keras.")
    diverges_at: float | None = knob(
        1000.0,
        "Diverged above",
        "Give up when the mean loss of an epoch is above this. Empty: only when it is no number any more.",
        gt=0,
    )
    tta: Literal["none", "flip", "six"] = knob(
        "none",
        "Test-time augmentation",
        "Validation also averages each picture's mirror image (flip), or six views: plain, mirrored, and both shifted "
        "by one pixel two ways (six, as in airbench). Shown beside the plain accuracy, and counted in its place.",
    )
    target_accuracy: float = knob(
        0.94, "Target accuracy", "Validation accuracy whose first reaching is timed, as a share.", gt=0, le=1
    )

    @field_validator("augment")
    @classmethod
    def _operations_fit_each_other(cls, operations: list[Operation]) -> list[Operation]:
        sides(operations)
        return operations

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> Recipe:
        if self.mixup and self.mixup.when == "before" and self.augment_when == "once":
            raise mistake_at(
                ("mixup", "when"), "must be after where pictures are changed once, ahead of the loop (augment_when)"
            )
        ghost = getattr(self.model, "ghost_batch", None)
        if ghost and (self.batch_size % ghost or (self.last_batch == "keep" and not self._is_disjoint)):
            raise mistake_at(
                ("model", "resnet9", "ghost_batch"),
                f"must divide batch_size ({self.batch_size}) and needs last_batch drop: every batch is split by it",
            )
        return self

    @property
    def _is_disjoint(self) -> bool:
        return self.mixup is not None and self.mixup.pairing == "disjoint"


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 (64 hex digits) of the canonical recipe without `seed` and `target_accuracy`.

    Equal for repeats of one experiment.
    """
    content = recipe.model_dump(mode="json", exclude={"seed", "target_accuracy"})
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
