"""Another process holds the database's lock, as a careless backup or a shell would, while runs train."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.records import Records, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import ENDED, Answer, World, light

SHORT_S, LONG_S = 12, 30
CLIENTS = 5
HOLD = """
import sys, time, pysqlite3
db = pysqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
db.execute("BEGIN EXCLUSIVE")
time.sleep(float(sys.argv[2]))
db.execute("ROLLBACK")
"""


def lock(stage: Stage) -> Iterator[Row]:
    seconds = LONG_S if stage.is_long else SHORT_S
    recipe = light(epochs=int(seconds * 1.5), step_ms=100, seed=12)
    wanted = reference(recipe | {"model": {"width": 2}}, stage.folder / "alone")
    world = stage.world()
    world.serve()
    world.work("ada")
    run_id = world.launch(recipe)
    world.wait_epochs(run_id, 1)
    holder = world.start("holder", [sys.executable, "-c", HOLD, str(world.data_dir / "pitwall.db"), str(seconds)])
    time.sleep(0.5)
    read, wrote = Counter[int](), list[Answer]()
    with ThreadPoolExecutor(CLIENTS) as pool:
        posted = [pool.submit(_post, world, number, seconds * 0.7 * number / CLIENTS) for number in range(CLIENTS)]
        while holder.poll() is None:
            for path in ("/", f"/runs/{run_id}", f"/api/v1/runs/{run_id}"):
                read[world.send("GET", path).status] += 1
            time.sleep(0.2)
        wrote = [one.result() for one in posted]
    statuses = Counter(answer.status for answer in wrote)
    unsaid = [one.status for one in wrote if one.status == 503 and "retry-after" not in map(str.lower, one.headers)]
    holds = set(read) == {200} and set(statuses) <= {201, 503} and not unsaid and not world.bugs()
    figure = f"reads {dict(read)}, writes {dict(statuses)}, {world.bugs()} × 500"
    must = "reads 200, writes wait or 503 with Retry-After"
    yield Row(f"The database locked by another process for {seconds} s", figure, must, holds)
    again = [_post(world, number).status for number in range(CLIENTS)]
    run = world.wait_for(run_id, *ENDED, seconds=90)
    world.close()
    records = Records(world.data_dir)
    broken, words = records.broken(), records.unlike(records.runs[run_id - 1], wanted)
    count = len(records.runs) - 1
    holds = not broken and words is None and run["attempt"] == 1 and count == CLIENTS and set(again) == {201}
    figure = "; ".join(
        [f"attempt {run['attempt']}, {words or 'bit-same'}, {count} of {CLIENTS} launches once", *broken]
    )
    yield Row("… then the run, and the launches sent again", figure, "nothing lost or doubled", holds)


def _post(world: World, number: int, after_s: float = 0) -> Answer:
    time.sleep(after_s)
    body = {"recipe": light(1, 2), "priority": -1}
    return world.send("POST", "/api/v1/runs", body, headers={"Idempotency-Key": f"locked {number}"}, timeout=60)
