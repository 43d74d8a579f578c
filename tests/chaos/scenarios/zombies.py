"""A worker that is stopped for longer than its lease, and wakes when another one has its run."""

from __future__ import annotations

import hashlib
import signal
from collections import Counter
from collections.abc import Iterator

from tests.chaos.records import Records, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import World, eventually, light
from tests.e2e.support.processes import until

LATE = 100
NO_CHECKPOINT_S = 3600.0  # between two: with one, the run would wait for its worker some seconds more


def zombies(stage: Stage) -> Iterator[Row]:
    recipe = light(epochs=18, step_ms=175, seed=4)
    wanted = reference(recipe | {"model": {"width": 2}}, stage.folder / "alone")
    world = stage.world()
    world.serve()
    zombie = world.work("zombie", every=NO_CHECKPOINT_S)
    run_id = world.launch(recipe)
    world.wait_epochs(run_id, 1)
    child = world.child_of(zombie)
    assert child is not None
    zombie.send_signal(signal.SIGSTOP)
    world.work("heir", every=NO_CHECKPOINT_S)
    until(lambda: world.run(run_id)["attempt"] == 2, 30, "another worker has taken the run over", every=0.1)

    answered = Counter(_late_write(world, run_id, number) for number in range(LATE // 2))
    assert world.child_of(zombie) is not None, "its child has ended too early to show anything"
    zombie.send_signal(signal.SIGCONT)
    seconds = eventually(lambda: world.child_of(zombie) is None, 15)
    until(lambda: world.run(run_id)["status"] == "running", 30, "the second attempt trains", every=0.1)
    answered += Counter(_late_write(world, run_id, number) for number in range(LATE // 2, LATE))
    yield Row("Zombie: late writes of an attempt that lost its run (report, beat, finish, file)",
              f"{answered[409]} of {LATE} answered 409", f"{LATE}", answered[409] == LATE)  # fmt: skip
    yield Row("Zombie: the stopped worker wakes and stops its child by itself",
              "it did not" if seconds is None else f"after {seconds:.1f} s", "≤ 5 s",
              seconds is not None and seconds <= 5, is_time=True)  # fmt: skip
    run = world.wait_for(run_id, "succeeded", "failed", "cancelled", seconds=90)
    world.close()
    records = Records(world.data_dir)
    broken = records.broken()
    words = records.unlike(records.runs[0], wanted)
    rows = {row["attempt"] for row in records.curve(records.runs[0])}
    holds = run["attempt"] == 2 and rows == {2} and not broken and words is None
    yield Row("Zombie: the heir's result", "; ".join([words or "bit-same", *broken]), "untouched", holds)


def _late_write(world: World, run_id: int, number: int) -> int:
    """Send what an attempt that has lost its run would send; returns the status."""
    held = f"/api/v1/worker/runs/{run_id}/attempts/1"
    epoch = {
        "event": "epoch", "epoch": 1 + number % 9, "train_loss": 9.9, "train_accuracy": 0.0, "val_loss": 9.9,
        "val_accuracy": 0.0, "learning_rate": 9.9, "seconds": 9.9,
    }  # fmt: skip
    headers = world.worker_headers()
    match number % 4:
        case 0:
            body = {"first_seq": 1 + number, "events": [epoch], "log_offset": 0, "log": "from beyond\n"}
            return world.send("POST", f"{held}/report", body, headers=headers).status
        case 1:
            return world.send("POST", f"{held}/beat", headers=headers).status
        case 2:
            outcome = ("succeeded", "failed", "released", "paused")[number // 4 % 4]
            return world.send("POST", f"{held}/finish", {"outcome": outcome}, headers=headers).status
        case _:
            content = f"not a checkpoint {number}".encode()
            path = f"{held}/artifacts/checkpoint.safetensors?sha256={hashlib.sha256(content).hexdigest()}&epoch=9"
            kind = {"Content-Type": "application/octet-stream"}
            return world.send("PUT", path, content, headers=headers | kind).status
