"""The real trainer on Keras: its child and its worker killed in mid-run, the result bit-same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.chaos.records import Records, Reference, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import ENDED, World
from tests.e2e.processes import until

EPOCHS = 5
WHOLE = ("trainer",)


def real(stage: Stage) -> Iterator[Row]:
    kills = [2]
    if stage.is_long:
        kills = [(1, 3, 5)[number % 3] for number in range(max(int(20 * stage.share), 3))]
    wanted = reference(_recipe(0), stage.folder / "alone", WHOLE)
    world = stage.world()
    world.serve()
    done, same = 0, []
    for count in kills:
        words = _killed(stage, world, count)
        done += count
        same.append(words)
    world.close()
    records = Records(world.data_dir)
    unlike = [words for run in records.runs if (words := records.unlike(run, wanted))]
    broken = records.broken() + [words for words in same if words]
    print("\n".join(unlike + broken), flush=True)
    told = ", ".join(sorted({str(count) for count in kills}))
    yield Row(f"The real trainer (Keras), {len(kills)} runs, each killed {told} times (child or worker): numbers and "
              f"weights bit-same, after {records.resumed()} resumes",
              f"{len(kills) - len(unlike)} of {len(kills)}" + (f"; {(unlike + broken)[0]}" if unlike + broken else ""),
              "all", not unlike and not broken)  # fmt: skip


def _recipe(seed: int) -> dict[str, Any]:
    return {
        "dataset": {"name": "digits"}, "model": {"width": 4, "dropout": 0.1}, "epochs": EPOCHS, "batch_size": 50,
        "schedule": {"kind": "triangular", "base_lr": 0.001, "max_lr": 0.05, "step_epochs": 2}, "seed": seed,
    }  # fmt: skip
