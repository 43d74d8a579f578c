"""Why a run cannot continue, as messages for the person who launched it.

CannotTrain              kind, message, hint: becomes the `failed` event
├── RecipeMistake        settings contradict each other or the data
├── DatasetMissing       the data set is not here and could not be downloaded
├── DatasetDamaged       the data set cannot be read
├── DatasetChanged       the data set differs from the one that the run started with
├── Diverged             the loss is NaN, infinite or far too large
├── OutOfMemory          the device's memory is too small for the step
├── OutOfHostMemory      the machine's memory is too small
├── DeviceLost           the device stopped responding
├── InputBroken          a loader process was killed
└── FolderUnusable       the run's folder cannot be used
Stopped                  not a failure: stopped on request
CheckpointDamaged        not a failure: an older checkpoint is used
"""

from __future__ import annotations

from typing import ClassVar

STOPPED = 75  # exit code of a child that stopped on request (EX_TEMPFAIL of sysexits.h)


class CannotTrain(Exception):
    """`str(error)` says what is wrong, `hint` what to do about it; `kind` is the kind in the event."""

    kind: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RecipeMistake(CannotTrain):
    kind = "recipe"


class DatasetMissing(CannotTrain):
    kind = "dataset_missing"


class DatasetDamaged(CannotTrain):
    kind = "dataset_damaged"


class DatasetChanged(CannotTrain):
    kind = "dataset_changed"


class Diverged(CannotTrain):
    kind = "diverged"


class OutOfMemory(CannotTrain):
    kind = "out_of_memory"


class OutOfHostMemory(CannotTrain):
    kind = "out_of_host_memory"


class DeviceLost(CannotTrain):
    kind = "device_lost"


class InputBroken(CannotTrain):
    kind = "input_broken"


class FolderUnusable(CannotTrain):
    """A failure of the general kind; the message says what is wrong."""


class Stopped(Exception):
    """The run was asked to stop and has stopped between two steps."""


class CheckpointDamaged(Exception):
    """The file is not a complete checkpoint."""


def suggest_smaller(batch_size: int | None) -> str:
    """A hint for when memory has run out."""
    if batch_size is None or batch_size < 2:
        return "Make the model narrower, or the data set smaller."
    return f"Try a batch size of {batch_size // 2}."
