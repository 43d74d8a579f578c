"""The short way of the reports that come most leaves the same rows, and tells the same, as the long way of all."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from app.errors import Conflict
from app.web.deps import State
from app.workers import fast_reports, queue, reports
from tests.app.support.cast import NOW, claim, epoch, events, launch, settings_in, started, state_of, step

TABLES = ("runs", "attempts", "epochs", "events")
Said = list[dict[str, Any]]


def played(folder: Path, script: list[tuple[str, Any]]) -> tuple[list[Any], dict[str, list[Any]]]:
    """What was answered and told, and the rows that are left."""
    state = state_of(settings_in(folder))
    heard: list[Any] = []
    state.records.tell = heard.extend
    try:
        run_id = launch(state, {"epochs": 200, "target_accuracy": 0.8})
        held = claim(state)
        assert held
        for verb, asked in script:
            if verb == "lost":
                with state.records.write() as session:
                    queue.rescue(session, [held], NOW)
                held = claim(state) or held
            else:
                heard.append(report(state, asked.get("held", held), asked["first"], asked["said"]))
        return [run_id, *heard], rows(state)
    finally:
        state.records.close()


def report(state: State, held: tuple[int, int], first: int, said: Said) -> Any:
    try:
        return state.records.together(lambda session: reports.take_report(session, *held, first, events(*said), NOW))
    except Conflict as conflict:
        return str(conflict)


def rows(state: State) -> dict[str, list[Any]]:
    with state.records.read() as session:
        found = {table: session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2, 3")).mappings() for table in TABLES}
        return {table: [dict(row) | {"trail": None} for row in all_rows] for table, all_rows in found.items()}


def random_script(seed: int) -> list[tuple[str, Any]]:
    """A run's life: epochs and steps, said again, with gaps, twice, out of order; workers that die."""
    draw = random.Random(seed)
    script: list[tuple[str, Any]] = [("say", {"first": 0, "said": [started(), step(0, phase="compiling")]})]
    seq, number, attempts = 2, 1, 1
    for _ in range(40):
        said: Said = []
        for _ in range(draw.choice([1, 1, 1, 2, 5])):
            kind = draw.random()
            if kind < 0.6:
                accuracy = draw.choice([None, 0.5, 0.7, 0.81, 0.9])
                said.append(epoch(number, accuracy, draw.choice([1.5, 2.25]), val_seconds=0.5))
                number += draw.choice([1, 1, 1, 1, 0, 2, -1]) if number > 1 else 1
            elif kind < 0.85:
                said.append(step(draw.randrange(30), epoch=number))
            elif kind < 0.95:
                said.append({"event": "checkpoint", "epoch": number, "step": 0})
            else:
                said.append({"event": "not_saved", "epoch": number, "message": "full"})
        first = max(seq + draw.choice([0, 0, 0, 0, 0, -1, 2]), 0)
        script.append(("say", {"first": first, "said": said}))
        if first <= seq:
            seq = max(seq, first + len(said))
        if draw.random() < 0.05 and attempts < 3:
            attempts += 1
            script.append(("lost", None))
            number = max(number - draw.randrange(4), 1)
            script.append(("say", {"first": 0, "said": [started(resumed_from_epoch=number - 1)]}))
            seq = 1
    return script


@pytest.mark.parametrize("seed", range(6))
def test_the_short_way_leaves_what_the_long_way_leaves(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = random_script(seed)
    short = played(tmp_path / "short", script)
    monkeypatch.setattr(fast_reports, "take", lambda *asked: None)
    long = played(tmp_path / "long", script)

    assert short[0] == long[0]
    for table in TABLES:
        assert short[1][table] == long[1][table], table
    assert len(short[1]["epochs"]) > 10


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

    assert len([one for one in statements if not one.startswith(("SAVEPOINT", "RELEASE"))]) <= 6, statements
