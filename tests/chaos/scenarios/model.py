"""The queue's verbs in any order against a model (queue_model.py), until enough steps are done."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos import queue_model
from tests.chaos.stage import Row, Stage

STEPS = 10_000


def model(stage: Stage) -> Iterator[Row]:
    wanted = int(STEPS * (max(3 * stage.share, 1) if stage.is_long else 1))
    steps = refused = 0
    try:
        while steps < wanted:
            done = queue_model.drive(min(wanted - steps, 2000))
            steps, refused = steps + done["steps"], refused + done["refused"]
    except AssertionError as error:
        print(f"{error}\n" + "\n".join(getattr(error, "__notes__", [])), flush=True)
        first = str(error).splitlines()[:1]
        yield Row("The queue's verbs in any order, against a model", f"other after {steps} steps: {first}",
                  f"{wanted:,} steps alike", holds=False)  # fmt: skip
        return
    yield Row("The queue's verbs in any order, against a model", f"{steps:,} steps alike, {refused:,} verbs refused "
              "as they must be", f"≥ {wanted:,} steps", steps >= wanted)  # fmt: skip
