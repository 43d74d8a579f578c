"""Looks at what a step really does: the batch that it sees, and how its weights move. Judges nothing.

The original experiment believed in a cutout that had been traced once, a mixup that was never called and a decay
that was added to a local name. A look at the recipe cannot find such things; this can.
Must not know any ML framework, events' way or the recipe's meaning (evidence.py judges).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.normalisation import Batch
from trainer.augment.selections import Selection
from trainer.engine.interface import Engine
from trainer.events import Change, Evidence
from trainer.loop.batches import BatchSource

MAX_ROUNDING = 0.51  # of the 256 of a byte: less is how a device rounds
MAX_SHARE_BEYOND = (
    1e-3  # share of the values that may be further off: a rotation's or a blur's byte, rounded to the other side
)


def measure_first_step(
    source: BatchSource, engine: Engine, rates: NDArray[np.float32], epoch: int, steps: int, selection: Selection
) -> tuple[Evidence, Batch]:
    """Measure the first step of `epoch` ahead of it; answers what it will be shown, too.

    `rates`: of the whole run. `steps`: of an epoch. Everything that the engine moves is put back.
    """
    new_pixels = None
    earlier = source.batch_with_images(engine, 1, selection)[1] if epoch > 1 else None
    batch, shown = source.batch_with_images(engine, epoch, selection)
    if earlier is not None:
        new_pixels = _changed_shares(earlier, shown)["pixels"]
    changes: list[Change] = []
    before: NDArray[Any] | None = None
    for stage in source.pipeline.stages(epoch, selection):
        if before is not None and stage.name != "normalise":
            changes.append(Change(name=stage.name, position=stage.position, **_changed_shares(before, stage.pictures)))
        before = stage.pictures
    assert before is not None
    first = (epoch - 1) * steps
    fastest = first + int(np.argmax(rates[first : first + steps]))
    seen = engine.measure_step(batch, step=first, moving_step=fastest)
    evidence = Evidence(
        epoch=epoch,
        pictures=len(selection),
        changes=changes,
        is_what_the_step_saw=matches_expected(before, shown, source),
        new_pixels=new_pixels,
        **vars(seen),
    )
    return evidence, shown


def matches_expected(expected: Batch, shown: Batch, source: BatchSource) -> bool:
    """Whether these are the pictures that the operations make, as exactly as this source makes them."""
    if source.is_bit_exact or expected.shape != shown.shape:
        return np.array_equal(expected, shown)
    far = np.abs(expected - shown) * source.pipeline.scale > MAX_ROUNDING
    return bool(far.mean() <= MAX_SHARE_BEYOND)


def _changed_shares(before: NDArray[Any], after: NDArray[Any]) -> dict[str, float]:
    """Shares of pixels (any channel) and of pictures (any pixel) that differ; where the size changed, all do."""
    if before.shape != after.shape:
        return {"pixels": 1.0, "pictures": 1.0}
    pixels = (before != after).any(axis=-1)
    return {"pixels": float(pixels.mean()), "pictures": float(pixels.any(axis=(1, 2)).mean())}
