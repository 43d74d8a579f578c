"""Reports of a worker: whatever comes, in whatever order, the records and the streams hold what the model says."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text

from app.errors import Conflict
from app.metrics import milestones
from app.records.models import Attempt, Epoch, Event, Prediction, Run
from app.web.deps import State
from app.workers import queue, reports
from tests.app.support.cast import NOW, claim, epoch, events, launch, settings_in, started, state_of, step
from tests.app.workers.report_model import EPOCHS, TARGET, RunModel, Values

EVIDENCE: Values = {
    "event": "evidence", "pictures": 50, "changes": [], "is_what_the_step_saw": True, "new_pixels": None,
    "learning_rate": 0.1, "label_entropy": 0.0, "input_low": 0.0, "input_high": 1.0, "gradient_norm": 0.5,
    "decay_norm": None, "weight_norm": 8.0,
}  # fmt: skip
TABLES = ("runs", "attempts", "epochs", "events")


def report(state: State, held: tuple[int, int], first: int, sent: list[Values]) -> Any:
    try:
        return state.records.write_grouped(
            lambda session: reports.store_report(session, *held, first, events(*sent), NOW)
        )[0]
    except Conflict as conflict:
        return str(conflict)


def rows(state: State) -> dict[str, list[Any]]:
    with state.records.read() as session:
        return {
            table: [dict(row) for row in session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2, 3")).mappings()]
            for table in TABLES
        }


class Player:
    """A run in the records and its model, both given the same reports; compared after each."""

    def __init__(self, state: State, seed: int) -> None:
        self.state, self.random = state, random.Random(seed)
        self.published: list[Any] = []
        self.stored: list[int] = []
        has_tta = bool(seed % 2)
        self.model = RunModel(has_tta=has_tta)
        recipe = {"epochs": EPOCHS, "target_accuracy": TARGET, "tta": "flip" if has_tta else "none"}
        launch(state, recipe, name="modelled")
        claim(state)
        state.records.publish = self.published.extend

    @property
    def next_seq(self) -> int:
        return int(self.model.attempts[self.model.number]["next_seq"])

    def report(self, sent: list[Values], *, first: int | None = None, number: int | None = None) -> None:
        first = self.next_seq if first is None else first
        number = self.model.number if number is None else number
        self.published.clear()
        answer = report(self.state, (1, number), first, sent)
        expected = self.model.report(number, first, sent)
        assert expected in answer if isinstance(expected, str) else answer == expected
        assert [{"event": one.event, "data": one.data} for one in self.published] == self.model.published
        assert {one.run for one in self.published} <= {1}
        assert [one.id is None for one in self.published] == [one.event == "step" for one in self.published]
        self.stored += [one.id for one in self.published if one.id is not None]
        self.compare_records()

    def lose_worker(self) -> None:
        with self.state.records.write() as session:
            queue.rescue(session, [(1, self.model.number)], NOW)
        self.model.lose()

    def claim_again(self) -> None:
        if self.model.status == "queued":
            assert claim(self.state) == (1, self.model.number + 1)
            self.model.claim()

    def compare_records(self) -> None:
        model = self.model
        with self.state.records.read() as session:
            run = session.get_one(Run, 1)
            assert {key: getattr(run, key) for key in model.columns()} == model.columns()
            packed = [
                (
                    row["epoch"],
                    row["elapsed"],
                    row["accuracy"],
                    -1.0 if row["energy"] != row["energy"] else row["energy"],
                )
                for row in milestones.unpack_milestones(run.milestones)
            ]
            assert packed == model.milestones()
            for number, expected in model.attempts.items():
                attempt = session.get_one(Attempt, (1, number))
                found = {
                    "next_seq": attempt.next_seq, "outcome": attempt.outcome, "started": attempt.started,
                    "checkpoint": (attempt.checkpoint_epoch, attempt.checkpoint_step),
                    "trouble": attempt.trouble, "evidence": attempt.evidence,
                }  # fmt: skip
                assert found == expected
            columns = Epoch.__table__.columns.keys()
            kept = [
                {key: getattr(row, key) for key in columns if key not in {"id", "at", "run_id"}}
                for row in session.scalars(select(Epoch).order_by(Epoch.id))
            ]
            assert kept == [{key: row[key] for key in (kept[0] if kept else ())} for row in model.rows]
            predictions = session.get(Prediction, 1)
            assert (predictions and (predictions.packed, predictions.confidences)) == model.predictions

    def compare_stored_events(self) -> None:
        """Each is stored as it was published, and under the id that it was published with."""
        with self.state.records.read() as session:
            ids = session.scalars(select(Event.id).where(Event.id.in_(self.stored)).order_by(Event.id)).all()
            seqs = session.execute(select(Event.attempt, Event.seq).where(Event.seq.is_not(None))).all()
        assert list(ids) == self.stored
        assert len(set(seqs)) == len(seqs)

    def live(self) -> None:
        """A random life: events repeated, with gaps, out of order; workers that die, and some that come back."""
        draw = self.random
        self.report([started(), step(0, phase="compiling")])
        number = 1
        for _ in range(40):
            sent: list[Values] = []
            for _ in range(draw.choice([1, 1, 1, 2, 5])):
                sent.append(self.random_event(number))
                if sent[-1]["event"] == "epoch":
                    number = max(number + draw.choice([1, 1, 1, 1, 0, 2, -1]), 1)
            self.report(sent, first=max(self.next_seq + draw.choice([0, 0, 0, 0, 0, -1, 2]), 0))
            if draw.random() < 0.12 and self.model.status in {"starting", "running"}:
                self.lose_worker()
                if draw.random() < 0.5:
                    self.claim_again()
                    self.report([epoch(number)], number=self.model.number - 1, first=0)
                    number = max(number - draw.randrange(4), 1)
                    self.report([started(resumed_from_epoch=number - 1)])

    def random_event(self, number: int) -> Values:
        draw = self.random
        kind = draw.random()
        if kind < 0.6:
            return epoch(
                number,
                draw.choice([None, 0.5, 0.7, 0.81, 0.9]),
                draw.choice([1.5, 2.25]),
                val_seconds=0.5,
                energy_wh=draw.choice([None, 0.25, 0.25, 0.25, 0.25, 0.5]),
                tta_accuracy=draw.choice([None, 0.6, 0.85, 0.95]),
                tta_seconds=0.25,
                predictions=draw.choice([None, None, None, "packed", "other"]),
                confidences=draw.choice([None, "surely"]),
                said_by_a_newer_trainer=draw.random(),
            )
        if kind < 0.8:
            return step(draw.randrange(30), epoch=number)
        if kind < 0.88:
            return {"event": "checkpoint", "epoch": number, "step": draw.randrange(3)}
        if kind < 0.92:
            return {"event": "not_saved", "epoch": number, "message": "full"}
        if kind < 0.96:
            return EVIDENCE | {"epoch": number}
        if kind < 0.98:
            return {"event": "failed", "kind": "diverged", "message": "The loss is not finite."}
        return started(resumed_from_epoch=number - 1)


@pytest.mark.parametrize("seed", range(8))
def test_random_reports_leave_what_the_model_says(seed: int, tmp_path: Path):
    state = state_of(settings_in(tmp_path))
    try:
        player = Player(state, seed)
        player.live()
        player.compare_stored_events()
        assert len(player.model.rows) > 10
    finally:
        state.records.close()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_strange_cases_one_by_one(seed: int, state: State):
    player = Player(state, seed)
    with_energy = {"energy_wh": 0.25, "tta_accuracy": 0.9}
    player.report([epoch(1)])  # before it has started
    player.report([started(), epoch(2, 0.7, **with_energy), step(3, epoch=3), epoch(3, 0.9, predictions="packed")])
    player.report([started(), epoch(2, 0.1)], first=1)  # all of it again
    player.report([epoch(3, 0.2), epoch(4, None)], first=4)  # partly again
    player.report([epoch(9)], first=9)  # after a gap
    player.report([])
    player.report([epoch(4, 0.95)])  # a second row of an epoch
    player.report([{"event": "checkpoint", "epoch": 4, "step": 0}])
    player.lose_worker()
    player.report([epoch(5, 0.6)])  # the worker comes back
    player.lose_worker()
    player.claim_again()
    player.report([epoch(6)], number=1)  # the worker comes back too late
    player.report([epoch(3, 0.5, **with_energy), started(), epoch(4, 0.9), epoch(6, 0.92), epoch(5, 0.92)])
    player.report([{"event": "checkpoint", "epoch": 4, "step": 0}])  # as far as the earlier attempt: no progress
    assert player.model.strikes == 1
    player.report([{"event": "checkpoint", "epoch": 4, "step": 1}])
    assert player.model.strikes == 0
    player.report([epoch(7, 0.93, predictions="other", confidences="surely")])
    player.report([EVIDENCE | {"epoch": 1}] * 22)
    player.report([epoch(8), {"event": "finished", "epochs": EPOCHS}])
    player.compare_stored_events()


def test_a_stranger_s_report_is_refused_and_leaves_nothing(state: State):
    launch(state)
    held = claim(state)
    assert held
    report(state, held, 0, [started()])
    before = rows(state)

    for number in (held[1] + 1, held[1] - 1):
        assert "no longer yours" in report(state, (held[0], number), 1, [epoch(1)])
    assert "no longer yours" in report(state, (held[0] + 1, 1), 1, [epoch(1)])
    assert rows(state) == before


def test_an_epoch_takes_a_handful_of_statements(state: State):
    launch(state)
    held = claim(state)
    assert held
    report(state, held, 0, [started()])
    statements: list[str] = []
    event.listen(state.records._engine, "before_cursor_execute", lambda *asked: statements.append(asked[2]))
    report(state, held, 1, [epoch(1)])

    assert len([one for one in statements if not one.startswith(("SAVEPOINT", "RELEASE"))]) <= 5, statements
