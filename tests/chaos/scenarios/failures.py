"""Failures that have a name: a run that kills its process, a loss that is no number, no memory left, a hang."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

from tests.chaos import clearing
from tests.chaos.light_engine import HUNGRY, POISON
from tests.chaos.records import Records, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import ENDED, light
from tests.e2e.support.processes import until

LIMIT = 300 * 2**20  # bytes for a worker and its child; the child alone wants more and more


def failures(stage: Stage) -> Iterator[Row]:
    """Poison and not-a-number, with an honest run between them on the same worker."""
    honest = light(epochs=6, seed=7)
    wanted = reference(honest | {"model": {"width": 2}}, stage.folder / "alone")
    world = stage.world()
    world.serve()
    poison = world.launch(light(seed=POISON))
    beside = world.launch(honest)
    decay = {"kind": "l2", "value": 1.0, "on": "all"}  # at this rate each step makes every weight 200 times as large
    mad = world.launch(light(30, schedule={"kind": "constant", "lr": 100.0}, optimizer={"weight_decay": decay}))
    world.work("ada")
    run = world.wait_for(poison, *ENDED)
    tried = [attempt["outcome"] for attempt in run["attempts"]]
    holds = run["status"] == "failed" and tried == ["failed"] * 3 and run["failure"] == "killed"
    yield Row("A poison run, which kills its process at once", f"{len(tried)} attempts, {run['status']}: "
              f"{run['failure']}", "3 attempts, failed: killed", holds)  # fmt: skip
    run = world.wait_for(mad, *ENDED)
    holds = run["status"] == "failed" and run["failure"] == "diverged" and len(run["attempts"]) == 1
    yield Row("A loss that is not finite", f"{run['status']}: {run['failure']}; {run['hint']}",
              "failed: diverged, once", holds)  # fmt: skip
    world.wait_for(beside, *ENDED)
    world.close()
    records = Records(world.data_dir)
    words = records.unlike(records.runs[beside - 1], wanted)
    broken = records.broken()
    holds = words is None and not broken and records.runs[beside - 1]["attempt"] == 1
    yield Row("An honest run on the same worker", "; ".join([words or "bit-same, one attempt", *broken]),
              "not disturbed", holds)  # fmt: skip


def memory(stage: Stage) -> Iterator[Row]:
    """A worker in a control group with a limit, and a child that takes more and more."""
    what, must = "The machine out of memory (a control group with a limit)", "failed: out_of_host_memory, what to try"
    try:
        group = _group(clearing.own_name(stage.folder))
    except OSError as problem:
        yield Row(what, f"no control group can be made here ({problem.strerror})", must, holds=None)
        return
    world = stage.world()
    world.serve()
    try:
        enter = ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")
        world.work("ada", before=enter)
        run = world.wait_for(world.launch(light(epochs=100, seed=HUNGRY)), *ENDED)
        named = (run["status"], run["failure"]) == ("failed", "out_of_host_memory")
        yield Row(what, f"{run['status']}: {run['failure']}; {run['hint']}", must, named and "25" in run["hint"])
    finally:
        world.close()
        until(lambda: not (group / "cgroup.procs").read_text().strip(), 10, "the control group is empty")
        group.rmdir()


def hang(stage: Stage) -> Iterator[Row]:
    """A child that is stopped: no step for longer than a minute and ten steps."""
    recipe = light(epochs=12, step_ms=200, seed=8)
    wanted = reference(recipe | {"model": {"width": 2}}, stage.folder / "alone")
    world = stage.world()
    world.serve()
    worker = world.work("ada")
    run_id = world.launch(recipe)
    world.wait_epochs(run_id, 3)
    child = world.child_of(worker)
    assert child is not None
    child.send_signal(signal.SIGSTOP)
    until(lambda: world.run(run_id)["attempt"] == 2, 100, "the hung child was killed, and the run is tried again")
    run = world.wait_for(run_id, *ENDED)
    world.close()
    first, second = run["attempts"][:2]
    records = Records(world.data_dir)
    words = records.unlike(records.runs[0], wanted)
    holds = first["failure"] == "hang" and second["resumed_from_epoch"] >= 2 and words is None
    yield Row("A hung child (SIGSTOP)", f"{first['failure']}; went on after epoch {second['resumed_from_epoch']}; "
              f"{words or 'bit-same'}", "hang, goes on", holds and not records.broken())  # fmt: skip


def _group(name: str) -> Path:
    """A control group below our own with a memory limit. Raises OSError where that is not permitted."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            group = clearing.CGROUPS / "memory" / path.lstrip("/") / name
            group.mkdir()
            (group / "memory.limit_in_bytes").write_text(str(LIMIT))
            return group
        if not controllers and (clearing.CGROUPS / "cgroup.controllers").exists():
            group = clearing.CGROUPS / path.lstrip("/") / name
            group.mkdir()
            try:
                (group / "memory.max").write_text(str(LIMIT))
            except OSError:
                group.rmdir()
                raise
            return group
    raise OSError(0, "no memory controller")
