"""Commands during a run: cancel, pause, resume, retry, and stopping a worker. Timed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from tests.chaos.light_engine import DEAF
from tests.chaos.records import Records, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import ENDED, World, eventually, light

EPOCHS = 14  # of half a second: what is asked for is heard within two seconds
MARKS = 20  # short waits are asked for so many times: the worst counts


def verbs(stage: Stage) -> Iterator[Row]:
    """One worker, all of it."""
    recipe = light(EPOCHS, step_ms=60, seed=6)
    wanted = reference(recipe | {"model": {"width": 2}}, stage.folder / "alone")
    world = stage.world()
    world.serve()
    yield _cancel_waiting(world, recipe)
    worker = world.work("ada")
    yield _cancel_running(world, recipe)
    yield _cancel_deaf(world)
    same: list[int] = []
    yield _pause(world, recipe, same)
    yield _drain(world, recipe, worker, same)
    yield from _retry(world, recipe, same)
    world.close()
    records = Records(world.data_dir)
    runs = {run["id"]: run for run in records.runs}
    unlike = [words for run_id in same if (words := records.unlike(runs[run_id], wanted))]
    broken = records.broken()
    yield Row("Paused, drained and retried runs: bit-same as undisturbed", "; ".join(unlike + broken) or
              f"{len(same)} of {len(same)}", "all", not unlike and not broken)  # fmt: skip


def _cancel_waiting(world: World, recipe: dict) -> Row:
    slowest = 0.0
    for _ in range(MARKS):
        run_id = world.launch(recipe)
        began = time.monotonic()
        world.verb(run_id, "cancel")
        assert world.run(run_id)["status"] == "cancelled"
        slowest = max(slowest, time.monotonic() - began)
    return Row("Cancel, queued", f"≤ {slowest:.2f} s, {MARKS} times", "≤ 1 s", slowest <= 1, is_time=True)


def _cancel_running(world: World, recipe: dict) -> Row:
    run_id = world.launch(recipe | {"epochs": 500})
    world.wait_epochs(run_id, 1)
    world.verb(run_id, "cancel")
    seconds = eventually(lambda: world.run(run_id)["status"] == "cancelled", 20)
    kept = world.run(run_id)["attempts"][-1]
    is_kept = (kept["checkpoint_epoch"], kept["checkpoint_step"]) > (0, 0)
    figure = _told(seconds) + (", with a checkpoint" if is_kept else ", without a checkpoint")
    holds = seconds is not None and seconds <= 5 and is_kept
    return Row("Cancel, in mid-run", figure, "≤ 5 s, with a checkpoint", holds, is_time=is_kept)


def _cancel_deaf(world: World) -> Row:
    run_id = world.launch(light(epochs=500, seed=DEAF))
    world.wait_epochs(run_id, 1)
    world.verb(run_id, "cancel")
    seconds = eventually(lambda: world.run(run_id)["status"] == "cancelled", 25)
    return Row("Cancel, a child that does not hear SIGTERM", _told(seconds), "≤ 15 s",
               seconds is not None and seconds <= 15, is_time=True)  # fmt: skip


def _pause(world: World, recipe: dict, same: list[int]) -> Row:
    run_id = world.launch(recipe)
    world.wait_epochs(run_id, 2)
    world.verb(run_id, "pause")
    paused = eventually(lambda: world.run(run_id)["status"] == "paused", 20)
    other = world.launch(light(epochs=1, step_ms=2))
    world.wait_for(other, "succeeded")
    still = world.run(run_id)["status"]
    world.verb(run_id, "resume")
    run = world.wait_for(run_id, *ENDED)
    last = run["attempts"][-1]
    begins = (last["started"]["resumed_from_epoch"], last["started"]["resumed_at_step"])
    same.append(run_id)
    figure = f"{_told(paused)}; went on after epoch {begins[0]} and {begins[1]} steps"
    holds = paused is not None and paused <= 5 and still == "paused" and begins >= (2, 0)
    return Row("Pause: another run on the freed worker, then resume", figure, "≤ 5 s, goes on where it was", holds)


def _drain(world: World, recipe: dict, worker: object, same: list[int]) -> Row:
    run_id = world.launch(recipe)
    world.wait_epochs(run_id, 2)
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)  # type: ignore[attr-defined]
    code = worker.wait(40)  # type: ignore[attr-defined]
    seconds = time.monotonic() - began
    run = world.run(run_id)
    world.work("bob", data_dir=world.folder / "another-disk")  # goes on from what was handed in
    ended = world.wait_for(run_id, *ENDED)
    begins = ended["attempts"][-1]["started"]["resumed_from_epoch"]
    same.append(run_id)
    outcome, status = run["attempts"][-1]["outcome"], run["status"]
    holds = code == 0 and seconds <= 30 and (outcome, status) == ("released", "queued") and begins >= 2
    figure = f"{_told(seconds)}; {status}, attempt {outcome}; a worker with another disk went on after epoch {begins}"
    return Row("SIGTERM to a worker in mid-run", figure, "≤ 30 s, queued, released, goes on", holds)


def _retry(world: World, recipe: dict, same: list[int]) -> Iterator[Row]:
    run_id = world.launch(recipe)
    for source, lowest, highest in (("checkpoint", 2, EPOCHS), ("scratch", 0, 0)):
        world.wait_epochs(run_id, 2)
        world.verb(run_id, "cancel")
        world.wait_for(run_id, "cancelled")
        world.verb(run_id, "retry", {"from": source})
        run = world.wait_for(run_id, "running")
        begins = run["attempts"][-1]["resumed_from_epoch"]
        holds = lowest <= begins <= highest
        if source == "scratch":
            holds &= world.wait_for(run_id, *ENDED)["status"] == "succeeded"
            same.append(run_id)
        yield Row(f"Retry from {source}", f"began after epoch {begins}", f"after {lowest} or more"
                  if lowest else "from the beginning", holds)  # fmt: skip


def _told(seconds: float | None) -> str:
    return "not at all" if seconds is None else f"{seconds:.1f} s"
