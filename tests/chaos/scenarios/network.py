"""The network between a worker and the app is cut for longer than a lease, and comes back."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.chaos import clearing
from tests.chaos.records import Records, reference
from tests.chaos.stage import Row, Stage
from tests.chaos.world import ENDED, eventually, light
from tests.e2e.support.processes import until

LOST_S = 25.0  # a lease is 10; an app that the machine held up gives that time back
NO_CHECKPOINT_S = 3600.0  # between two: with one, the run would wait for its worker some seconds more


@dataclass(frozen=True)
class Wire:
    """A pair of interfaces: one here, one in a namespace of its own."""

    namespace: str
    near: str
    address: str

    def cut(self) -> None:
        _ip("link", "set", self.near, "down")

    def mend(self) -> None:
        _ip("link", "set", self.near, "up")


def network(stage: Stage) -> Iterator[Row]:
    what = "The network between worker and app cut for longer than a lease"
    recipe = light(epochs=20, step_ms=175, seed=13)
    wanted = reference(recipe | {"model": {"width": 2}}, stage.folder / "alone")
    try:
        with _wire(clearing.own_name(stage.folder)) as wire:
            yield from _cut(stage, wire, recipe, wanted, what)
    except PermissionError as problem:
        yield Row(what, f"no network namespace can be made here ({problem})", "the same attempt goes on", holds=None)


def _cut(stage: Stage, wire: Wire, recipe: dict, wanted: object, what: str) -> Iterator[Row]:
    token = secrets.token_urlsafe(16)
    world = stage.world(host=wire.address, PITWALL_TOKEN=token)
    world.token = token
    try:
        world.serve()
        far = world.work(
            "far", every=NO_CHECKPOINT_S, data_dir=world.folder / "disk-of-far",
            before=("ip", "netns", "exec", wire.namespace),
        )  # fmt: skip
        run_id = world.launch(recipe)
        world.wait_epochs(run_id, 1)
        wire.cut()
        eventually(lambda: world.run(run_id)["attempts"][-1]["outcome"] is not None, LOST_S)
        meanwhile = world.run(run_id)["attempts"][-1]["outcome"]
        wire.mend()
        back = eventually(lambda: world.run(run_id)["status"] in {"running", "succeeded"}, 30)
        run = world.wait_for(run_id, *ENDED, seconds=90)
        holds = meanwhile == "lost" and back is not None and (run["attempt"], run["status"]) == (1, "succeeded")
        yield Row(f"{what}, nobody else there", f"shown as {meanwhile}, then attempt {run['attempt']} went on, "
                  f"{run['status']}", "lost; the same attempt goes on", holds)  # fmt: skip

        moved = world.launch(recipe)
        world.wait_epochs(moved, 1)
        wire.cut()
        world.work("near", every=NO_CHECKPOINT_S)
        until(lambda: world.run(moved)["attempt"] == 2, 30, "another worker has taken the run over", every=0.1)
        assert world.child_of(far) is not None, "the cut-off child has ended too early to show anything"
        wire.mend()
        fenced = eventually(lambda: world.child_of(far) is None, 30)
        ended = world.wait_for(moved, *ENDED, seconds=90)
        holds = fenced is not None and (ended["attempt"], ended["status"]) == (2, "succeeded")
        yield Row(f"{what}, another worker there", f"attempt {ended['attempt']} by {ended['attempts'][-1]['worker']}, "
                  f"{ended['status']}; the cut-off child stopped: {fenced is not None}",
                  "the run moves, the cut-off worker is fenced", holds)  # fmt: skip
    finally:
        world.close()
    records = Records(world.data_dir)
    broken = [*records.broken(), *(w for run in records.runs if (w := records.unlike(run, wanted)))]  # type: ignore[arg-type]
    yield Row("… the results", "; ".join(broken) or "bit-same", "untouched", not broken)


@contextmanager
def _wire(namespace: str) -> Iterator[Wire]:
    """Raises PermissionError where that is not permitted."""
    mark = secrets.token_hex(3)
    near, far, net = f"pwc{mark}a", f"pwc{mark}b", f"10.213.{secrets.randbelow(250) + 1}"
    _ip("netns", "add", namespace)
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace)
        _ip("address", "add", f"{net}.1/30", "dev", near)
        _ip("link", "set", near, "up")
        for words in (("address", "add", f"{net}.2/30", "dev", far), ("link", "set", far, "up")):
            _ip("-n", namespace, *words)
        yield Wire(namespace, near, f"{net}.1")
    finally:
        subprocess.run(["ip", "link", "del", near], capture_output=True, check=False)
        _ip("netns", "del", namespace)


def _ip(*words: str) -> None:
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as problem:
        raise PermissionError("there is no ip command") from problem
    if done.returncode:
        raise PermissionError(f"ip {' '.join(words)}: {done.stderr.strip()}")
