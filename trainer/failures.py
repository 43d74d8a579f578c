"""Why a run cannot go on, in words for the person who launched it.

    CannotTrain              kind, message, hint: becomes the `failed` event
    ├── RecipeMistake        the knobs contradict each other or the data
    ├── DatasetMissing       no such pictures here, and none could be fetched
    ├── DatasetDamaged       pictures are there but cannot be read
    ├── Diverged             the loss is no longer a number
    ├── OutOfMemory          the device has no room for the step
    └── InputBroken          who prepares the pictures was killed
    Stopped                  not a failure: somebody asked for it

Must not know who raises them or what becomes of them.
"""

from __future__ import annotations

from typing import ClassVar


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


class Diverged(CannotTrain):
    kind = "diverged"


class OutOfMemory(CannotTrain):
    kind = "out_of_memory"


class InputBroken(CannotTrain):
    kind = "input_broken"


class Stopped(Exception):
    """The run was asked to stop and stands at a step boundary."""
