"""Looks at what a step really does: the batch that it sees, and how its weights move. Judges nothing.

The original experiment believed in a cutout that had been traced once, a mixup that was never called and a decay
that was added to a local name. A look at the recipe cannot find such things; this can.
Must not know any ML framework, events' way or the recipe's meaning (evidence.py judges).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment.crew import Crew
from trainer.augment.selections import Labels, Selection
from trainer.engine.interface import Engine
from trainer.events import Change, Evidence


def witness(
    crew: Crew, engine: Engine, rates: NDArray[np.float32], epoch: int, steps: int, selection: Selection, labels: Labels
) -> tuple[Evidence, NDArray[np.float32]]:
    """Measure the first step of `epoch` ahead of it; answers the batch, too, for who takes the step.

    `rates`: of the whole run. `steps`: of an epoch. `labels`: as the step is given them. Everything that the
    engine moves is put back.
    """
    batch = crew.prepare(epoch, selection).result()
    changes: list[Change] = []
    before: NDArray[Any] | None = None
    for stage in crew.pipeline.stages(epoch, selection):
        if before is not None and stage.name != "normalise":
            changes.append(Change(name=stage.name, position=stage.position, **_changed(before, stage.pictures)))
        before = stage.pictures
    new_pixels = None
    if epoch > 1:
        new_pixels = _changed(crew.prepare(1, selection).result(), batch)["pixels"]
    first = (epoch - 1) * steps
    fastest = first + int(np.argmax(rates[first : first + steps]))
    seen = engine.witness(batch, labels, step=first, moving_step=fastest)
    evidence = Evidence(
        epoch=epoch,
        pictures=len(selection),
        changes=changes,
        is_what_the_step_saw=np.array_equal(batch, before) if before is not None else False,
        new_pixels=new_pixels,
        **vars(seen),
    )
    return evidence, batch


def _changed(before: NDArray[Any], after: NDArray[Any]) -> dict[str, float]:
    """Shares of pixels (any channel) and of pictures (any pixel) that differ; where the size changed, all do."""
    if before.shape != after.shape:
        return {"pixels": 1.0, "pictures": 1.0}
    pixels = (before != after).any(axis=-1)
    return {"pixels": float(pixels.mean()), "pictures": float(pixels.any(axis=(1, 2)).mean())}
