"""The app is away in mid-run: for as long as a restart takes, for 20 seconds, for 60, for 600."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.chaos.records import Records, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import ENDED, light
from tests.e2e.support.processes import until
from trainer.protocol import BEST, CHECKPOINT

SHORT, LONG = (0, 20), (0, 20, 60, 600)
EPOCH_S = 1.6
LAST_EPOCHS = 4
STARTS_S = 20  # of an app, on a very busy machine
AFTER_S = 25  # of training beyond the outages: the run must not end in one


def outages(stage: Stage) -> Iterator[Row]:
    seconds = [s if s <= 60 else int(s * stage.share) for s in (LONG if stage.is_long else SHORT)]
    epochs = int((sum(seconds) + STARTS_S * len(seconds) + AFTER_S) / EPOCH_S)
    recipe = light(epochs, step_ms=int(EPOCH_S * 1000 / 8), seed=5)
    wanted = reference(recipe | {"model": {"width": 2}}, stage.folder / "alone")
    world = stage.world()
    world.serve()
    worker = world.work("ada")
    run_id = world.launch(recipe)
    world.wait_epochs(run_id, 1)
    child = world.child_of(worker)
    assert child is not None
    for away in seconds:
        before = world.run(run_id)["last_epoch"]
        world.kill_app()
        time.sleep(away)
        back = world.serve()
        world.wait_epochs(run_id, before + 1)
        run, now = world.run(run_id), world.child_of(worker)
        is_same = now is not None and now.pid == child.pid
        holds = run["attempt"] == 1 and run["status"] == "running" and is_same
        figure = f"attempt {run['attempt']}, {run['status']}, {'the same' if is_same else 'another'} child"
        yield Row(f"The app killed in mid-run, away for {away} s (and {back:.1f} s to start)", figure,
                  "attempt 1 goes on undisturbed", holds)  # fmt: skip
    run = world.wait_for(run_id, *ENDED, seconds=epochs * EPOCH_S + 60)

    last = world.launch(recipe | {"epochs": LAST_EPOCHS})
    world.wait_epochs(last, 1)
    world.kill_app()
    until(lambda: world.child_of(worker) is None, 30, "the run comes to its end while the app is away")
    time.sleep(1)
    world.serve()
    ended = world.wait_for(last, *ENDED)
    files = {one["name"]: one["epoch"] for one in ended["artifacts"]}
    holds = (ended["status"], ended["attempt"], files.get(CHECKPOINT)) == ("succeeded", 1, LAST_EPOCHS)
    figure = f"{ended['status']}, attempt {ended['attempt']}, with {', '.join(sorted(files))}"
    yield Row("A run that ends while the app is away", figure, "told and handed in later", holds and BEST in files)
    world.close()
    records = Records(world.data_dir)
    broken, words = records.broken(), records.unlike(records.runs[0], wanted)
    told = [one["kind"] for one in records.events if one["kind"] == "epoch" and one["run_id"] == run_id]
    holds = not broken and words is None and len(told) == epochs and run["attempt"] == 1
    yield Row("Outages: every epoch there once, in order; the result", "; ".join([words or "bit-same", *broken]),
              "as without them", holds)  # fmt: skip
