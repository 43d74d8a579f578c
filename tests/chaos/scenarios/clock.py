"""The app's wall clock jumps by an hour and by a day, forwards and back, while runs train."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.records import Records, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import ENDED, eventually, light

HOUR, DAY = 3600, 86_400
JUMPS = (HOUR, -HOUR, DAY, -DAY)
EACH_S = 3.0
RUNS = 3


def clock(stage: Stage) -> Iterator[Row]:
    file = stage.folder / "clock"
    _set(file, 0)
    recipe = light(epochs=12, step_ms=60, seed=11)
    wanted = reference(recipe | {"model": {"width": 2}}, stage.folder / "alone")
    world = stage.world(app=("tests.chaos.jumping_app", "serve"), CHAOS_CLOCK=str(file))
    world.serve()
    workers = {name: world.work(name) for name in ("ada", "bob")}
    ids = [world.launch(recipe) for _ in range(RUNS)]
    last = world.launch(recipe | {"epochs": 500})
    world.wait_epochs(ids[0], 1)
    for offset in JUMPS:
        _set(file, offset)
        time.sleep(EACH_S)
    runs = [world.wait_for(run_id, *ENDED) for run_id in ids]
    lost = [run["id"] for run in runs if run["attempt"] != 1 or run["status"] != "succeeded"]
    yield Row("The app's wall clock jumps by ± 1 h and ± 1 day: runs that lost their worker by it",
              f"{len(lost)} of {RUNS}", "none", not lost)  # fmt: skip

    world.wait_epochs(last, 1)
    workers[world.run(last)["attempts"][-1]["worker"]].kill()
    seconds = eventually(lambda: world.run(last)["attempts"][0]["outcome"] == "lost", 30)
    yield Row("… a day back, a worker is killed: its lease lapses", "never" if seconds is None else
              f"after {seconds:.1f} s", "≤ 12 s", seconds is not None and seconds <= 12, is_time=True)  # fmt: skip
    world.verb(last, "cancel")
    world.close()
    records = Records(world.data_dir)
    broken = [*records.broken(), *(w for run in records.runs[:RUNS] if (w := records.unlike(run, wanted)))]
    ids_told = [event["id"] for event in records.events]
    holds = not broken and ids_told == sorted(ids_told)
    yield Row("… results, order of epochs and events", "; ".join(broken) or "bit-same, in order", "as without", holds)


def _set(file: Path, offset: int) -> None:
    part = file.with_suffix(".part")
    part.write_text(str(offset))
    part.rename(file)
