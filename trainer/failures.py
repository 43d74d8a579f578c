"""Why a run cannot go on, in words for the person who launched it.

    CannotTrain              kind, message, hint: becomes the `failed` event
    ├── RecipeMistake        the knobs contradict each other or the data
    ├── DatasetMissing       no such pictures here, and none could be fetched
    ├── DatasetDamaged       pictures are there but cannot be read
    ├── DatasetChanged       they are not those that the run began with
    ├── Diverged             the loss is no longer a number, or far too large
    ├── OutOfMemory          the device has no room for the step
    ├── OutOfHostMemory      the machine has no room
    ├── DeviceLost           the device does not answer any more
    ├── InputBroken          who prepares the pictures was killed
    └── FolderUnusable       the run cannot work in the folder that it was given
    Stopped                  not a failure: somebody asked for it
    CheckpointDamaged        not a failure: an older checkpoint is used

Must not know who raises them or what becomes of them.
"""

from __future__ import annotations

from typing import ClassVar

STOPPED = 75  # exit code of a child that stopped because it was asked to (EX_TEMPFAIL of sysexits.h)


class CannotTrain(Exception):
    """`str(error)` says what is wrong; `hint` says what to do about it; `kind` is the word in the event."""

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
    """Its kind is the general one: what is wrong is in the words."""


class Stopped(Exception):
    """The run was asked to stop and stands at a step boundary."""


class CheckpointDamaged(Exception):
    """The file is not, or no longer, a whole checkpoint."""


def suggest_smaller(batch_size: int | None) -> str:
    """What to try where memory ran out."""
    if batch_size is None or batch_size < 2:
        return "Make the net narrower, or the data set smaller."
    return f"Try a batch size of {batch_size // 2}."
