"""The real trainer on Keras: its child and its worker killed in mid-run, the result bit-same."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from tests.chaos.records import Records, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import ENDED, World
from tests.e2e.support.processes import until

SHORT_EPOCHS, LONG_EPOCHS = 4, 8
EPOCH_S = 0.8  # about, of 30 steps on two busy cores
WHOLE = ("trainer",)


def real(stage: Stage) -> Iterator[Row]:
    kills = [2]
    if stage.is_long:
        kills = [(1, 3, 5)[number % 3] for number in range(max(int(20 * stage.share), 3))]
    recipe = {
        "dataset": {"name": "digits"}, "model": {"width": 4, "dropout": 0.1}, "batch_size": 50,
        "epochs": LONG_EPOCHS if stage.is_long else SHORT_EPOCHS,
        "schedule": {"kind": "triangular", "base_lr": 0.001, "max_lr": 0.05, "step_epochs": 2},
    }  # fmt: skip
    world = stage.world()
    world.serve()
    wanted = reference(recipe, stage.folder / "alone", WHOLE)
    worker = world.work("ada", module="trainer.worker")
    for count in kills:
        worker = _killed(stage, world, worker, world.launch(recipe), count)
    world.close()
    records = Records(world.data_dir)
    broken = [words for run in records.runs if (words := records.unlike(run, wanted))]
    alike = len(kills) - len(broken)
    broken += records.broken()
    print("\n".join(broken), flush=True)
    times = ", ".join(str(count) for count in sorted(set(kills)))
    what = f"The real trainer (Keras on CPU), runs killed {times} times each (child, worker in turn): bit-same, "
    yield Row(f"{what}after {records.resumed()} resumes", f"{alike} of {len(kills)}" + "".join(broken[:1]), "all",
              not broken)  # fmt: skip


def _killed(
    stage: Stage, world: World, worker: subprocess.Popen[bytes], run_id: int, count: int
) -> subprocess.Popen[bytes]:
    """Kill so often, each time somewhere after a new checkpoint; answers the worker that is there at the end."""
    reached = 0

    def goes_on() -> bool:
        return _saved(world, run_id) > reached or _is_over(world, run_id)

    for number in range(count):
        until(goes_on, 120, "a new checkpoint", every=0.1)
        time.sleep(stage.random.uniform(0, EPOCH_S))
        reached = _saved(world, run_id)
        child = world.child_of(worker)
        if child is None or _is_over(world, run_id):
            break  # it was faster
        if number % 2:
            worker.kill()
            worker.wait()
            worker = world.work("ada", module="trainer.worker")
        else:
            child.kill()
    world.wait_for(run_id, *ENDED, seconds=150)
    return worker


def _is_over(world: World, run_id: int) -> bool:
    return world.run(run_id)["status"] in ENDED


def _saved(world: World, run_id: int) -> int:
    return max((attempt["checkpoint_epoch"] for attempt in world.run(run_id)["attempts"]), default=0)
