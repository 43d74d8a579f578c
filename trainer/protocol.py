"""The words that a worker and the app share. Must not know either of them.

A failure has a name, which is also what pages show it by. Those that the child finds out itself are the kinds of
trainer.failures; the worker adds what it sees from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["succeeded", "failed", "cancelled", "paused", "released"]
Command = Literal["none", "pause", "cancel", "cancel_now"]

CHECKPOINT = "checkpoint.safetensors"  # the newest checkpoint of a run, as it is handed in
BEST = "best.safetensors"  # the weights of its best epoch

KILLED = "killed"  # the child was ended by a signal that nobody here sent
HANG = "hang"  # no step for far longer than usual
OUT_OF_HOST_MEMORY = "out_of_host_memory"  # the kernel killed it for want of memory
LOST = "lost"  # its worker fell silent
DEVICE_LOST = "device_lost"  # the device stopped answering

# Failures that may not be the run's own fault: it is tried again from its last checkpoint.
RETRYABLE = frozenset({KILLED, HANG, LOST, DEVICE_LOST, "input_broken"})


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, as the worker saw it. `failure` is a name, `reason` a sentence."""

    outcome: Outcome
    exit_code: int | None = None
    failure: str | None = None
    reason: str | None = None
    hint: str | None = None
