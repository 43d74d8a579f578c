"""A full disk: under the app, and under a worker. Small tmpfs mounts, filled to the brim."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from tests.chaos.records import Records, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import ENDED, World, light
from tests.e2e.support.processes import until

FULL_S = 8.0
APP_DISK, WORK_DISK = "24m", "1m"
INSUFFICIENT_STORAGE = 507


def app_disk(stage: Stage) -> Iterator[Row]:
    what, must = "The app's disk full for some seconds", "writes 507, reads 200, no 500"
    recipe = light(epochs=20, step_ms=100, seed=9)
    wanted = reference(recipe | {"model": {"width": 2}}, stage.folder / "alone")
    world = stage.world()
    try:
        with _small_disk(world.data_dir, APP_DISK):
            yield from _app_disk(world, recipe, wanted, what, must)
    except PermissionError as problem:
        yield Row(what, f"nothing can be mounted here ({problem})", must, holds=None)


def _app_disk(world: World, recipe: dict, wanted: object, what: str, must: str) -> Iterator[Row]:
    world.serve()
    world.work("ada", data_dir=world.folder / "disk-of-ada")
    run_id = world.launch(recipe)
    world.wait_epochs(run_id, 2)
    filler = world.data_dir / "filler"
    _fill(filler)
    read, wrote, launched = Counter[int](), Counter[int](), []
    ends = time.monotonic() + FULL_S
    while time.monotonic() < ends:
        _fill(filler)  # what a log or a write-ahead log gave back
        answer = world.send("POST", "/api/v1/runs", {"recipe": light(1, 2), "priority": -1})
        wrote[answer.status] += 1
        launched += [one["id"] for one in answer.body["runs"]] if answer.status == 201 else []
        content = b"x" * 100_000
        path = f"/api/v1/worker/runs/{run_id}/attempts/1/artifacts/junk.bin?sha256={sha256(content).hexdigest()}"
        headers = world.worker_headers() | {"Content-Type": "application/octet-stream"}
        wrote[world.send("PUT", path, content, headers=headers).status] += 1
        for path in ("/", "/runs", f"/runs/{run_id}", "/api/v1/runs", f"/api/v1/runs/{run_id}/epochs", "/readyz"):
            read[world.send("GET", path).status] += 1
        time.sleep(0.1)
    filler.unlink()
    holds = set(read) == {200} and set(wrote) <= {201, 507} and wrote[507] > 1 and not world.bugs()
    yield Row(what, f"reads {dict(read)}, writes {dict(wrote)}, {world.bugs()} × 500", must, holds)
    run = world.wait_for(run_id, *ENDED)
    missing = [one for one in launched if world.send("GET", f"/api/v1/runs/{one}").status != 200]
    world.close()
    records = Records(world.data_dir)
    broken = [*records.broken(), *([f"lost: runs {missing}"] if missing else [])]
    words = records.unlike(records.runs[run_id - 1], wanted)  # type: ignore[arg-type]
    extra = len(records.runs) - 1 - len(launched)
    records.close()
    holds = not broken and words is None and run["attempt"] == 1 and not extra
    yield Row("… and then free again: the run, the records", "; ".join([words or "bit-same, attempt 1", *broken]),
              "goes on, whole, nothing lost", holds)  # fmt: skip


def work_disk(stage: Stage) -> Iterator[Row]:
    what, must = "A worker's disk full in mid-run", "goes on and says so, saves again when there is room, succeeds"
    recipe = light(epochs=40, step_ms=50, seed=10)  # long enough for a busy machine to see its middle
    wanted = reference(recipe | {"model": {"width": 2}}, stage.folder / "alone")
    world = stage.world()
    disk = world.folder / "disk-of-ada"
    try:
        with _small_disk(disk, WORK_DISK):
            world.serve()
            world.work("ada", data_dir=disk)
            run_id = world.launch(recipe)
            world.wait_epochs(run_id, 1)
            _fill(disk / "filler")
            until(lambda: world.run(run_id)["attempts"][-1]["trouble"], 30, "a checkpoint could not be written")
            trouble, at = world.run(run_id)["attempts"][-1]["trouble"], world.run(run_id)["last_epoch"]
            world.wait_epochs(run_id, at + 2)
            (disk / "filler").unlink()
            run = world.wait_for(run_id, *ENDED)
            world.close()
    except PermissionError as problem:
        yield Row(what, f"nothing can be mounted here ({problem})", must, holds=None)
        return
    records = Records(world.data_dir)
    words, broken = records.unlike(records.runs[0], wanted), records.broken()
    last = run["attempts"][-1]
    holds = words is None and not broken and run["attempt"] == 1 and last["trouble"] is None
    yield Row(what, f"“{trouble}”; {run['status']}, {'; '.join([words or 'bit-same', *broken])}", must, holds)


@contextmanager
def _small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own at `folder`. Raises PermissionError where that is not permitted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "pitwall-chaos", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(done.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(path: Path) -> None:
    """To the last byte."""
    with path.open("ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
