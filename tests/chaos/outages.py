"""The app is away in mid-run: for as long as a restart takes, for 20 seconds, for 60, for 600."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.chaos.records import Records, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import light
from tests.e2e.processes import until

SHORT, LONG = (0, 20), (0, 20, 60, 600)
EPOCH_S = 1.6
AFTER_S = 25  # of training beyond the outages: the run must not end in one


def outages(stage: Stage) -> Iterator[Row]:
    seconds = [s if s <= 60 else int(s * stage.share) for s in (LONG if stage.is_long else SHORT)]
    epochs = int((sum(seconds) + AFTER_S) / EPOCH_S)
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
        until(lambda before=before: world.run(run_id)["last_epoch"] > before, 30, "the run goes on", every=0.1)  # type: ignore[misc]
        run, now = world.run(run_id), world.child_of(worker)
        holds = run["attempt"] == 1 and run["status"] == "running" and now is not None and now.pid == child.pid
        figure = f"attempt {run['attempt']}, {run['status']}, the same child: {now is not None and now.pid == child.pid}"
        yield Row(f"The app killed in mid-run, away for {away} s (and {back:.1f} s to start)", figure,
                  "attempt 1 goes on undisturbed", holds)  # fmt: skip
    run = world.wait_for(run_id, "succeeded", "failed", "cancelled", seconds=AFTER_S + 60)
    world.close()
    records = Records(world.data_dir)
    broken, words = records.broken(), records.unlike(records.runs[0], wanted)
    told = [event["kind"] for event in records.events if event["kind"] == "epoch"]
    holds = not broken and words is None and len(told) == epochs and run["attempt"] == 1
    yield Row("Outages: every epoch there once, in order; the result", "; ".join(broken + [words or "bit-same"]),
              "as without them", holds)  # fmt: skip
