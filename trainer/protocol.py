"""Names shared by the worker and the app: outcomes, commands, artifacts and failures.

Failures that the child reports itself are the kinds of trainer.failures; the worker adds those seen from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["succeeded", "failed", "cancelled", "paused", "released"]
Command = Literal["none", "pause", "cancel", "cancel_now"]

CHECKPOINT = "checkpoint.safetensors"  # a run's newest checkpoint, as uploaded
BEST = "best.safetensors"  # weights of its best epoch

KILLED = "killed"  # the child was ended by a signal that Pitwall did not send
HANG = "hang"  # no step for far longer than usual
OUT_OF_HOST_MEMORY = "out_of_host_memory"  # killed by the kernel's OOM killer
LOST = "lost"  # its worker stopped responding
DEVICE_LOST = "device_lost"  # the device stopped responding

# Failures that may not be the run's fault: it is retried from its last checkpoint.
RETRYABLE = frozenset({KILLED, HANG, LOST, DEVICE_LOST, "input_broken"})


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, as the worker saw it. `failure` is a name, `reason` a sentence."""

    outcome: Outcome
    exit_code: int | None = None
    failure: str | None = None
    reason: str | None = None
    hint: str | None = None
