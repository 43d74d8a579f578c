"""`python -m tests.trainer.engine.one_backend RESULT.npz`: some steps on the backend that KERAS_BACKEND names.

Keras has one backend in a process, so whoever compares two needs two processes.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from tests.trainer.engine.engines import EVERY, PICTURES, batch, engine, selection
from trainer.augment.tables import sample_epoch_params, to_columns
from trainer.engine.interface import Split
from trainer.recipe import Recipe

STEPS = 5
RIGHT_OF = [(99, 110), (47, 50), (141, 150), (90, 100), (49, 49)]  # a rounded 1 / n would miss half of these targets
TRICKS: dict[str, Any] = {
    "model": {
        "width": 4, "dropout": 0, "bn_scale": "frozen", "ghost_batch": 4, "activation": "celu", "pool": "before",
        "init": "pytorch", "logit_scale": 0.125,
    },
    "optimizer": {"bias_rate": 8, "weight_decay": {"kind": "coupled", "value": 0.01, "on": "all"}},
    "schedule": {"kind": "constant", "lr": 0.005},
    "loss": {"label_smoothing": 0.2},
    "ema": {"decay": 0.9, "every": 2, "rise": 1},
    "augment": [{"op": "pad_crop"}, {"op": "flip"}, {"op": "cutout"}],
    "tta": "flip",
    "last_batch": "drop",
    "batch_size": 12,
    "epochs": 10,
}  # fmt: skip


def accuracy_of(run: Any, right: int, count: int) -> float:
    """Of an evaluation of `count` images, of which `right` are classified correctly."""
    run.evaluate(EVERY)
    run.end_evaluation()
    predicted = run.predictions()[0].astype(np.int64)
    run.load_splits(None, Split(PICTURES[:2], np.array([predicted[0], (predicted[1] + 1) % 10])))
    run.evaluate(np.repeat(np.array([0, 1], np.int32), [right, count - right]))
    accuracy: float = run.end_evaluation().accuracy
    run.load_splits(None, Split(PICTURES, predicted))
    return accuracy


def main() -> None:
    recipe = Recipe.model_validate(TRICKS)
    run = engine(recipe)
    run.begin_epoch(to_columns(sample_epoch_params(recipe, 1, 12, 32)))
    run.compile([batch(), selection()], [EVERY])
    made, losses = run.traces, []
    for _ in range(STEPS):
        run.step(batch())
        losses.append(run.end_epoch().loss)
    found = run.state()
    run.evaluate(EVERY)
    plain, views = run.end_evaluation(), run.evaluate_with_tta()
    images = run.augmented_images(selection())
    for _ in range(2):
        run.step(selection())
    once = run.state()
    run.restore(found)
    for _ in range(2):
        run.step(selection())
    again = run.state()
    said = {
        "losses": [*losses, plain.loss, views.loss],
        "same": all(once[name].tobytes() == again[name].tobytes() for name in once),
        "traced_again": run.traces != made,
    }
    said["shares"] = [accuracy_of(run, right, count) for right, count in RIGHT_OF]
    np.savez(sys.argv[1], said=json.dumps(said), images=images, **{f"state {name}": found[name] for name in found})


if __name__ == "__main__":
    main()
