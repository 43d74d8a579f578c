"""Time limits of the app in one value, so that tests can pass shorter ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds."""

    write_patience_s: float = 5.0  # how long a write waits for its turn and for other programs; reads never wait
    checkpoint_holder_first_s: float = 15.0  # how long a run waits for the worker that has its newest checkpoint
    wrong_token_s: float = 0.5  # from a wrong token to its answer: guessing is slow
    restore_wait_s: float = 3.0  # for another program that has the old database open


DEFAULT_TIMING = Timing()
