"""The queue's verbs in any order, against a model of a few lines: people, workers, and those who lost their run.

`drive(steps)` draws so many steps; a step that the records answer otherwise than the model fails with the shortest
story that shows it (hypothesis).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from app.errors import Conflict, NotFound
from app.records.models import Attempt, Run
from app.runs import runs
from tests.app.support import queue_verbs
from tests.app.support.cast import claim, epoch, launch, settings_in, started, state_of
from tests.chaos.known_run import AGAIN, HELD, Known

STEPS_A_STORY = 100


class Queue(RuleBasedStateMachine):
    """Every rule does the same to the records and to the model."""

    root: Path
    steps_done = 0
    refused = 0

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=Queue.root))
        shutil.copy(Queue.root / "pitwall.db", self.folder)  # empty, its tables made: that takes as long as ten steps
        self.state = state_of(settings_in(self.folder))
        self.known: dict[int, Known] = {}
        self.zombies: list[tuple[int, int]] = []

    def teardown(self) -> None:
        if hasattr(self, "state"):
            self.state.records.close()
            shutil.rmtree(self.folder)

    def _some(self, number: int) -> int:
        return sorted(self.known)[number % len(self.known)]

    def _refused(self, verb: Any, *arguments: Any) -> None:
        try:
            verb(self.state, *arguments)
        except (Conflict, NotFound):
            Queue.refused += 1
            return
        raise AssertionError(f"{verb.__name__}{arguments} was not refused")

    def _expected(self, allowed: bool, verb: Any, *arguments: Any) -> bool:
        if allowed:
            verb(self.state, *arguments)
        else:
            self._refused(verb, *arguments)
        return allowed

    # people

    @rule()
    def launch(self) -> None:
        if len(self.known) < 6:
            self.known[launch(self.state)] = Known()

    @precondition(lambda self: self.known)
    @rule(number=st.integers(0, 5))
    def cancel(self, number: int) -> None:
        run_id = self._some(number)
        one = self.known[run_id]
        allowed = one.status in HELD | {"queued", "paused", "cancelled"}
        if not self._expected(allowed, queue_verbs.cancel, run_id):
            return
        if one.status in HELD:
            one.forced, one.asked = one.asked == "cancel", "cancel"
        else:
            one.status, one.asked = "cancelled", None

    @precondition(lambda self: self.known)
    @rule(number=st.integers(0, 5))
    def pause(self, number: int) -> None:
        run_id = self._some(number)
        one = self.known[run_id]
        allowed = one.status in {"queued", "paused"} or (one.status in HELD and one.asked in {None, "pause"})
        if not self._expected(allowed, queue_verbs.pause, run_id):
            return
        if one.status in HELD:
            one.asked = "pause"
        else:
            one.status = "paused"

    @precondition(lambda self: self.known)
    @rule(number=st.integers(0, 5))
    def resume(self, number: int) -> None:
        run_id = self._some(number)
        one = self.known[run_id]
        allowed = one.status == "paused" or (one.status in HELD and one.asked == "pause")
        if not self._expected(allowed, queue_verbs.resume, run_id):
            return
        if one.status in HELD:
            one.asked = None
        else:
            one.status = "queued"

    @precondition(lambda self: self.known)
    @rule(number=st.integers(0, 5), source=st.sampled_from(["checkpoint", "scratch"]))
    def retry(self, number: int, source: Any) -> None:
        run_id = self._some(number)
        one = self.known[run_id]
        if not self._expected(one.status in {"failed", "cancelled"}, queue_verbs.retry, run_id, source):
            return
        one.status, one.strikes = "queued", 0
        if source == "scratch":
            one.trail_from, one.rows, one.furthest, one.is_lost = one.attempt + 1, {}, 0, False

    @precondition(lambda self: self.known)
    @rule(number=st.integers(0, 5))
    def delete(self, number: int) -> None:
        run_id = self._some(number)
        if self._expected(self.known[run_id].status not in HELD, _delete, run_id):
            del self.known[run_id]

    # workers

    @rule(worker=st.sampled_from(["ada", "bob"]))
    def claim(self, worker: str) -> None:
        waiting = sorted(run_id for run_id, one in self.known.items() if one.status == "queued")
        held = claim(self.state, worker)
        assert held == ((waiting[0], self.known[waiting[0]].attempt + 1) if waiting else None)
        if held is None:
            return
        one = self.known[held[0]]
        if one.attempt:
            self.zombies.append((held[0], one.attempt))
        one.status, one.attempt, one.asked, one.forced = "starting", held[1], None, False
        one.is_lost, one.has_started, one.said = False, False, 0

    def _holder(self, number: int) -> tuple[int, Known] | None:
        """Somebody who holds a run, or whose run fell silent and was not claimed since."""
        holders = [(i, one) for i, one in sorted(self.known.items()) if one.status in HELD or one.may_return]
        return holders[number % len(holders)] if holders else None

    @rule(number=st.integers(0, 5))
    def beat(self, number: int) -> None:
        if found := self._holder(number):
            run_id, one = found
            one.take_up()
            asked = "cancel_now" if one.asked == "cancel" and one.forced else one.asked or "none"
            assert queue_verbs.beat(self.state, (run_id, one.attempt)) == asked

    @rule(number=st.integers(0, 5), further=st.integers(1, 2))
    def train(self, number: int, further: int) -> None:
        if found := self._holder(number):
            run_id, one = found
            one.take_up()
            held = (run_id, one.attempt)
            if not one.has_started:
                one.said = queue_verbs.say(self.state, held, started(resumed_from_epoch=one.furthest), first=one.said)
                one.has_started, one.status = True, "running"
            first = max([one.furthest, *[number for number, attempt in one.rows.items() if attempt == one.attempt]])
            told = [epoch(number) for number in range(first + 1, first + 1 + further)]
            one.said = queue_verbs.say(self.state, held, *told, first=one.said)
            one.rows |= {row["epoch"]: one.attempt for row in told}

    @rule(number=st.integers(0, 5))
    def checkpoint(self, number: int) -> None:
        found = self._holder(number)
        if found and found[1].has_started and found[1].rows:
            run_id, one = found
            one.take_up()
            mine = [number for number, attempt in one.rows.items() if attempt == one.attempt]
            if not mine:
                return
            told = {"event": "checkpoint", "epoch": max(mine), "step": 0}
            one.said = queue_verbs.say(self.state, (run_id, one.attempt), told, first=one.said)
            if max(mine) > one.furthest:
                one.furthest, one.strikes = max(mine), 0

    @rule(number=st.integers(0, 5), again=st.integers(0, 3))
    def deliver_again(self, number: int, again: int) -> None:
        if (found := self._holder(number)) and found[1].said:
            run_id, one = found
            one.take_up()
            first = max(one.said - 1 - again, 0)
            count = one.said - first
            told = [epoch(99) for _ in range(count)]  # other words under old numbers: none of them is taken
            assert queue_verbs.say(self.state, (run_id, one.attempt), *told, first=first) == one.said

    @rule(
        number=st.integers(0, 5),
        outcome=st.sampled_from(["succeeded", "failed", "cancelled", "paused", "released"]),
        failure=st.sampled_from([None, "killed", "hang", "device_lost", "diverged", "out_of_memory"]),
    )
    def finish(self, number: int, outcome: str, failure: str | None) -> None:
        if not (found := self._holder(number)):
            return
        run_id, one = found
        one.take_up()
        queue_verbs.finish(self.state, (run_id, one.attempt), outcome, failure=failure, reason="It ended.")
        if outcome == "failed" and failure in AGAIN:
            one.strike()
        elif outcome in {"released", "paused"}:
            one.give_back()
        else:
            one.status = outcome
        one.asked, one.forced, one.is_lost = None, False, False

    @rule(number=st.integers(0, 5))
    def lapse(self, number: int) -> None:
        held = [(i, one) for i, one in sorted(self.known.items()) if one.status in HELD]
        if not held:
            return
        run_id, one = held[number % len(held)]
        queue_verbs.rescue(self.state, (run_id, one.attempt))
        one.strike()
        one.is_lost = one.status == "queued"
        one.asked, one.forced = None, False

    @precondition(lambda self: self.zombies)
    @rule(number=st.integers(0, 50), verb=st.sampled_from(["say", "beat", "finish"]))
    def zombie(self, number: int, verb: str) -> None:
        held = self.zombies[number % len(self.zombies)]
        if verb == "finish" and held[0] in self.known:
            with self.state.records.read() as session:
                outcome = session.get_one(Attempt, held).outcome
            if outcome not in (None, "lost"):  # it has said so before: saying it again changes nothing
                queue_verbs.finish(self.state, held)
                return
        verbs = {"say": lambda s, h: queue_verbs.say(s, h, epoch(1)), "beat": queue_verbs.beat}
        self._refused(verbs.get(verb, queue_verbs.finish), held)

    @invariant()
    def agrees(self) -> None:
        Queue.steps_done += 1
        if not hasattr(self, "state"):
            return
        with self.state.records.read() as session:
            rows = {run.id: run for run in session.scalars(select(Run))}
            assert set(rows) == set(self.known)
            for run_id, one in self.known.items():
                run = rows[run_id]
                seen = (run.status, run.requested, run.forced, run.attempt, run.strikes, run.trail_from)
                wanted = (one.status, one.asked, one.forced, one.attempt, one.strikes, one.trail_from)
                assert seen == wanted, (run_id, seen, wanted)
                assert (run.ended_at is not None) == one.is_ended()
                curve = {row.epoch: row.attempt for row in runs.shown_epochs(session, run_id)}
                assert curve == one.rows, (run_id, curve, one.rows)
            still_open = session.execute(select(Attempt.run_id, Attempt.number).where(Attempt.outcome.is_(None)))
            held = {(run_id, one.attempt) for run_id, one in self.known.items() if one.status in HELD}
            assert {(run_id, number) for run_id, number in still_open} == held


def _delete(state: Any, run_id: int) -> None:
    with state.records.write() as session:
        runs.remove(session, run_id)


def drive(steps: int) -> dict[str, int]:
    """Draw at least so many steps; answers how many were done, and how many verbs were refused as they must be."""
    Queue.steps_done = Queue.refused = 0
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="pitwall-model-", dir=memory if memory.is_dir() else None) as root:
        Queue.root = Path(root)
        state_of(settings_in(Queue.root)).records.close()
        run_state_machine_as_test(
            Queue,
            settings=settings(
                max_examples=max(steps // STEPS_A_STORY, 1),
                stateful_step_count=STEPS_A_STORY,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    return {"steps": Queue.steps_done, "refused": Queue.refused}
