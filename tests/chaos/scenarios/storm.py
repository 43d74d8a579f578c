"""The storm: workers, children and the app are killed at random moments, workers are stopped past their lease.

Dead processes are started again as `python -m app up` does. Two workers share a disk, as those of one machine do;
the third has its own. Afterwards every run must have succeeded, with the numbers and weights of undisturbed ones.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

from tests.chaos.records import Records, Reference, reference
from tests.chaos.scenarios.backups import Backups
from tests.chaos.stage import Row, Stage
from tests.chaos.world import World, light
from tests.e2e.support.processes import until

SEEDS = (1, 2, 3)  # runs of the same recipe and seed have one undisturbed sibling
EPOCHS, STEP_MS = 12, 25
SHORT, LONG = (12, 30), (200, 500)  # runs and kills at least
SHORT_S, LONG_S = 105.0, 0.75 * 3600
PAUSE_S = (0.2, 1.2)  # between two bolts
WAITING = 4  # runs in the queue
UP_AGAIN_S = 0.5  # as app.cli.up waits before it starts what died
STOPPED_S = 11.0  # longer than a lease
MOST_STRIKES = 3  # a third death in a row without progress ends a run: the storm must not cause it
ONE_DISK = ("ada", "bob")
TOO_EARLY = 0.8  # how often a run without a new checkpoint is spared: most kills shall have something to resume
SHARES = {"child": 12, "worker": 4, "app": 1, "stop": 1, "drain": 2}


@dataclass
class Hand:
    """A worker that is started again when it died."""

    name: str
    process: subprocess.Popen[bytes]
    due_at: float = 0.0
    goes_on_at: float | None = None  # stopped until then


@dataclass
class Weather:
    """The world in the storm, and what was done to it."""

    stage: Stage
    world: World
    hands: list[Hand] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    killed_at: dict[tuple[int, int], datetime] = field(default_factory=dict)  # children, by run and attempt

    def begin(self) -> None:
        self.world.serve()
        self.hands = [Hand(name, self._worker(name)) for name in (*ONE_DISK, "eve")]

    def keep(self) -> None:
        """Start again what died; wake who was stopped for long enough."""
        now = time.monotonic()
        for hand in self.hands:
            if hand.goes_on_at is not None and now > hand.goes_on_at:
                hand.process.send_signal(signal.SIGCONT)
                hand.goes_on_at = None
            if hand.process.poll() is not None:
                hand.due_at = hand.due_at or now + UP_AGAIN_S
                if now > hand.due_at:
                    hand.process, hand.due_at = self._worker(hand.name), 0.0
        if self.world.app is None or self.world.app.poll() is not None:
            self.world.serve(wait=False)

    def strike(self) -> None:
        """One bolt, wherever it does not end a run for good: each kind once, then as it comes."""
        new = [kind for kind in SHARES if not self.done[kind]]
        kind = new[0] if new else self.stage.random.choices(list(SHARES), list(SHARES.values()))[0]
        if kind == "app":
            if self._answers():
                self.world.kill_app()
                self.done["app"] += 1
            return
        hand = self.stage.random.choice(self.hands)
        if hand.goes_on_at is not None or hand.process.poll() is not None:
            return
        run = self._held_by(hand.name)
        if run is None or strikes(run) >= MOST_STRIKES - 1:
            return
        if not run["attempts"][-1]["checkpoint_epoch"] and self.stage.random.random() < TOO_EARLY:
            return
        if kind == "child":
            child = World.child_of(hand.process)
            if child is not None:
                child.kill()
                self.killed_at[run["id"], run["attempt"]] = datetime.now(UTC)
                self.done["child"] += 1
        elif kind == "worker":
            hand.process.kill()
            hand.process.wait()
            self.done["worker"] += 1
        elif kind == "drain":
            hand.process.terminate()
            self.done["drain"] += 1
        elif all(other.goes_on_at is None for other in self.hands):
            hand.process.send_signal(signal.SIGSTOP)
            hand.goes_on_at = time.monotonic() + STOPPED_S
            self.done["stop"] += 1

    def calm(self) -> None:
        """Let everybody work again."""
        for hand in self.hands:
            hand.goes_on_at = 0.0 if hand.goes_on_at is not None else None
        self.keep()

    @property
    def kills(self) -> int:
        return sum(self.done[kind] for kind in ("child", "worker", "app"))

    def _worker(self, name: str) -> subprocess.Popen[bytes]:
        own = None if name in ONE_DISK else self.world.folder / f"disk-of-{name}"
        return self.world.work(name, data_dir=own, warm=True)

    def _answers(self) -> bool:
        try:
            return self.world.send("GET", "/healthz", timeout=2).status == 200
        except OSError:
            return False

    def _held_by(self, worker: str) -> dict[str, Any] | None:
        try:
            workers = self.world.send("GET", "/api/v1/workers", timeout=5).body
            held = next((one["run"] for one in workers if one["name"] == worker), None)
            run = self.world.send("GET", f"/api/v1/runs/{held}", timeout=5).body if held else None
        except OSError:
            return None
        return run if run and run["attempts"][-1]["worker"] == worker else None


def strikes(run: dict[str, Any]) -> int:
    """Deaths in a row without a new checkpoint, as the app counts them."""
    count, furthest = 0, (0, 0)
    for attempt in run["attempts"]:
        stands = (attempt["checkpoint_epoch"], attempt["checkpoint_step"])
        if stands > furthest:
            count, furthest = 0, stands
        count += attempt["outcome"] in {"lost", "failed"}
    return count


def storm(stage: Stage) -> Iterator[Row]:
    runs, kills = (int(n * stage.share) for n in (LONG if stage.is_long else SHORT))
    at_least_s = LONG_S * stage.share if stage.is_long else 0
    recipes = {seed: light(EPOCHS, STEP_MS, seed) for seed in SEEDS}
    wanted = {seed: reference(recipes[seed] | {"model": {"width": 2}}, stage.folder / f"{seed}") for seed in SEEDS}
    world = stage.world()
    weather, backups = Weather(stage, world), Backups(world)
    weather.begin()
    launched, began = 0, time.monotonic()
    while (passed := time.monotonic() - began) < max(at_least_s * 1.2, SHORT_S):
        weather.keep()
        goes_on = launched < runs or weather.kills < kills or passed < at_least_s
        try:
            waiting = len(world.send("GET", "/api/v1/runs?status=queued").body["runs"])
            while goes_on and waiting < WAITING:
                world.launch(recipes[SEEDS[launched % len(SEEDS)]], name=f"storm {launched}")
                waiting, launched = waiting + 1, launched + 1
        except OSError:  # the app was killed just now
            pass
        if not goes_on and not waiting:
            break
        weather.strike()
        if stage.is_long:
            backups.perhaps()
        time.sleep(stage.random.uniform(*PAUSE_S))

    def is_over() -> bool:
        weather.calm()
        return not world.get("/api/v1/runs?status=queued,starting,running&limit=200")["runs"]

    until(is_over, 120, "the storm's runs come to their end", every=0.3)
    world.close()
    yield from _rows(world, weather, wanted, launched)
    if stage.is_long:
        yield backups.row()


def _rows(world: World, weather: Weather, wanted: dict[int, Reference], launched: int) -> Iterator[Row]:
    records, done = Records(world.data_dir), weather.done
    ended = Counter(run["status"] for run in records.runs)
    what = f"Storm: {weather.kills} × `kill -9` ({done['child']} children, {done['worker']} workers, "
    what += f"{done['app']} × the app), {done['stop']} × SIGSTOP past the lease, {done['drain']} × SIGTERM, "
    what += f"over {launched} runs"
    figure = ", ".join(f"{number} {status}" for status, number in ended.items())
    yield Row(what, figure, "every run succeeded", len(records.runs) == launched == ended["succeeded"])
    broken = records.broken()
    print("\n".join(broken), flush=True)
    yield Row("Storm: epochs 1..N once, no open attempt, events in order, records whole", _number(broken),
              "nothing broken", not broken)  # fmt: skip
    unlike = [words for run in records.runs if (words := records.unlike(run, wanted[run["seed"]]))]
    print("\n".join(unlike), flush=True)
    yield Row("Storm: numbers and last checkpoint bit-same as undisturbed, after "
              f"{records.resumed()} resumes in {len(records.attempts)} attempts",
              f"{launched - len(unlike)} of {launched}", "all", not unlike)  # fmt: skip
    below = list(_below(world, records))
    print("\n".join(below), flush=True)
    yield Row("Storm: attempts that began below a checkpoint on their own disk, or one that was handed in",
              _number(below), "none", not below)  # fmt: skip
    again = sorted(_again(records, weather.killed_at))
    if again:
        yield Row("Storm: from a child's death to the run's next claim", f"median {median(again):.1f} s, at most "
                  f"{again[-1]:.1f} s", "median ≤ 5 s", median(again) <= 5, is_time=True)  # fmt: skip


def _below(world: World, records: Records) -> Iterator[str]:
    """Attempts that went on from less than what lay ready for them."""
    logs = "".join((world.folder / f"{name}.log").read_text(errors="replace") for name in (*ONE_DISK, "eve"))
    for attempt in records.attempts:
        if attempt["started_at"] is None:
            continue
        run_id, number = attempt["run_id"], attempt["number"]
        disk = {attempt["worker"], *(ONE_DISK if attempt["worker"] in ONE_DISK else ())}
        stayed = f"run {run_id}: its newest checkpoint stays" in logs
        had = [
            earlier["checkpoint_epoch"]
            for earlier in records.attempts
            if earlier["run_id"] == run_id
            and earlier["number"] < number
            and (earlier["worker"] in disk or (earlier["outcome"] == "released" and not stayed))
        ]
        if had and attempt["resumed_from_epoch"] < max(had):
            yield (
                f"run {run_id}, attempt {number} by {attempt['worker']} went on from epoch "
                f"{attempt['resumed_from_epoch']}, and could have had a checkpoint of epoch {max(had)}"
            )


def _again(records: Records, killed_at: dict[tuple[int, int], datetime]) -> Iterator[float]:
    """Seconds, where the worker lived to tell it."""
    claimed_at = {(one["run_id"], one["number"]): one["claimed_at"] for one in records.attempts}
    told = {(one["run_id"], one["number"]) for one in records.attempts if one["outcome"] == "failed"}
    for (run_id, number), at in killed_at.items():
        if (text := claimed_at.get((run_id, number + 1))) and (run_id, number) in told:
            yield (datetime.fromisoformat(text).replace(tzinfo=UTC) - at).total_seconds()


def _number(found: list[str]) -> str:
    return f"{len(found)}: {found[0]}".replace("|", "/") if found else "0"
