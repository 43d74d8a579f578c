"""How long a worker waits for what, in one value: tests pass one that is quicker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds."""

    beat_s: float = 2.0
    patience_s: float = 10.0  # from asking the child to stop to killing it
    saving_patience_s: float = 16.0  # the same where it shall make a checkpoint for later
    stacks_s: float = 1.0  # for a hung child to write where it hangs
    upload_every_s: float = 300.0  # at least so far apart are the uploads of a run that trains
    min_patience_s: float = 60.0  # without a step until a run counts as hung; slow steps get more
    trouble_s: float = 5.0  # between two looks at a device or a disk that does not work


DEFAULT_TIMING = Timing()
