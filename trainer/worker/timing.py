"""The intervals and timeouts of a worker as one value; tests pass shorter ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds."""

    beat_s: float = 2.0
    patience_s: float = 10.0  # from asking the child to stop to killing it
    saving_patience_s: float = 16.0  # the same if it should save a checkpoint first
    stacks_s: float = 1.0  # for a hung child to write its stacks
    upload_every_s: float = 300.0  # minimum interval between uploads of a running run
    min_patience_s: float = 60.0  # without a step before a run counts as hung; slow steps get more
    trouble_s: float = 5.0  # between two checks of a device or disk that does not work


DEFAULT_TIMING = Timing()
