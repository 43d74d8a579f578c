"""Measures what a training step does: the batch that it sees, and how its weights move. evidence.py judges the result.

The original experiment relied on a cutout that had been traced once, a mixup that was never called and a decay that
was added to a local name. Checking the recipe cannot find such mistakes; measuring a step can.
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

MAX_ROUNDING = 0.51  # levels, of 256: smaller differences are the device's rounding
MAX_SHARE_BEYOND = 1e-3  # share of values that may differ more: a rotation or blur that rounded a byte the other way


def measure_first_step(
    source: BatchSource, engine: Engine, rates: NDArray[np.float32], epoch: int, steps: int, selection: Selection
) -> tuple[Evidence, Batch]:
    """Measure the first step of `epoch` before it runs, and restore everything that the measurement changed.

    `rates`: of the whole run. `steps`: per epoch. Returns the evidence, and the images that the step will see.
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
    """Whether `shown` are the images that the operations produce, up to the rounding of this source."""
    if source.is_bit_exact or expected.shape != shown.shape:
        return np.array_equal(expected, shown)
    far = np.abs(expected - shown) * source.pipeline.scale > MAX_ROUNDING
    return bool(far.mean() <= MAX_SHARE_BEYOND)


def _changed_shares(before: NDArray[Any], after: NDArray[Any]) -> dict[str, float]:
    """Shares of pixels (any channel) and of images (any pixel) that differ; all do if the size changed."""
    if before.shape != after.shape:
        return {"pixels": 1.0, "pictures": 1.0}
    pixels = (before != after).any(axis=-1)
    return {"pixels": float(pixels.mean()), "pictures": float(pixels.any(axis=(1, 2)).mean())}
