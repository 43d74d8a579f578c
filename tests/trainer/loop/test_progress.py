"""Progress is published about once a second, whatever the run is busy with, and never afterwards."""

from __future__ import annotations

import time

from trainer.events import BaseEvent, Step
from trainer.loop.progress import INTERVAL, Progress


def test_it_speaks_while_the_run_is_busy_and_is_silent_afterwards():
    said: list[BaseEvent] = []
    with Progress(said.append) as progress:
        progress.phase("training", 3, 10)
        progress.update(step=4, train_loss=0.5)
        time.sleep(INTERVAL * 3.5)
    count = len(said)
    time.sleep(INTERVAL * 2)
    assert 2 <= count == len(said) <= 4
    last = said[-1]
    assert isinstance(last, Step)
    assert (last.phase, last.epoch, last.step, last.steps_per_epoch, last.train_loss) == ("training", 3, 4, 10, 0.5)
    assert last.seconds > INTERVAL


def test_a_new_phase_forgets_the_old_one_s_numbers():
    said: list[BaseEvent] = []
    with Progress(said.append) as progress:
        progress.phase("training", 1, 10)
        progress.update(step=9, train_loss=0.5)
        progress.phase("evaluating", 1, 10)
        time.sleep(INTERVAL * 1.5)
    assert isinstance(said[0], Step)
    assert (said[0].phase, said[0].step, said[0].train_loss) == ("evaluating", 0, None)


def test_a_listener_that_went_away_does_not_trouble_the_run():
    def nobody(_event: BaseEvent) -> None:
        raise BrokenPipeError

    with Progress(nobody):
        time.sleep(INTERVAL * 1.5)
