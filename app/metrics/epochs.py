"""The epochs of a run as JSON, with the training clock at the end of each."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from app.json_shapes import ResponseModel
from app.records.models import Epoch


class EpochResponse(ResponseModel):
    epoch: int
    train_loss: float | None
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None = Field(description="Without TTA")
    tta_accuracy: float | None = Field(
        description="With test-time augmentation; used for ranking. null: the recipe uses no TTA"
    )
    learning_rate: float
    seconds: float
    elapsed_seconds: float = Field(description="Training time up to the end of the epoch")
    attempt: int
    penalty: float | None
    input_seconds: float
    val_seconds: float
    tta_seconds: float = Field(description="Time for the additional TTA views, not part of `val_seconds`")
    compile_seconds: float
    energy_wh: float | None = Field(description="Energy used by the device during `seconds`; null: not measured")
    busy: float | None = Field(None, description="Share of the time that the device was in use; null: not known")
    memory_bytes: int | None = Field(None, description="Peak memory in use on the device, by any process")


def with_elapsed(rows: Sequence[Epoch]) -> list[EpochResponse]:
    elapsed, shown = 0.0, []
    for row in rows:
        elapsed += row.seconds
        columns = {key: getattr(row, key) for key in EpochResponse.model_fields if key != "elapsed_seconds"}
        shown.append(EpochResponse(**columns, elapsed_seconds=elapsed))
    return shown
