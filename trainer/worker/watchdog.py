"""Detects a hung run: how long it may go without a step.

Works on the child's events and its own clock. A heartbeat of the child would prove nothing: its progress thread repeats
the current position, however long a step hangs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median
from threading import Lock
from typing import Any

from trainer.worker.timing import DEFAULT_TIMING

USUAL_STEPS = 10  # times the usual step, on top of the least patience
COMPILING_S = 15 * 60.0  # also for the first step, in which a device tunes its kernels, and for a slow disk
LOADING_S = 30 * 60.0  # since the last line of the log: a download logs its progress
STOOD_STILL_S = 5.0  # a longer gap between two calls of find_hang means that the worker itself was suspended
MAX_REMEMBERED = 50  # steps whose median duration is the usual one


class Watchdog:
    """`find_hang` judges by the events and log output that were recorded. Safe from any thread."""

    def __init__(
        self, min_patience_s: float = DEFAULT_TIMING.min_patience_s, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._min_patience_s, self._clock = min_patience_s, clock
        self._lock = Lock()
        self._phase, self._stand, self._has_stepped = "loading", (0, 0), False
        self._moved_at = self._asked_at = clock()
        self._seconds: deque[float] = deque(maxlen=MAX_REMEMBERED)

    def record_event(self, event: dict[str, Any]) -> None:
        """Note the progress that an event shows."""
        with self._lock:
            now = self._clock()
            if event.get("event") != "step":
                self._moved_at = now  # an epoch, a checkpoint
                return
            phase, stand = str(event.get("phase")), (event.get("epoch", 0), event.get("step", 0))
            if phase != self._phase:
                self._phase, self._stand, self._moved_at = phase, stand, now
            elif stand != self._stand:
                steps = stand[1] - self._stand[1] if stand[0] == self._stand[0] else 0
                if steps > 0 and self._has_stepped:
                    self._seconds.append((now - self._moved_at) / steps)
                self._has_stepped |= phase == "training" and stand[1] > 0
                self._stand, self._moved_at = stand, now

    def record_log(self) -> None:
        """Note new log output, which counts as progress while data is loaded."""
        with self._lock:
            if self._phase == "loading":
                self._moved_at = self._clock()

    def find_hang(self) -> str | None:
        """Why the child counts as hung, or None. Call several times a second."""
        with self._lock:
            now = self._clock()
            if now - self._asked_at > STOOD_STILL_S:  # suspended: events may be waiting to be read
                self._moved_at = min(self._moved_at + now - self._asked_at, now)
            self._asked_at = now
            silent, limit = now - self._moved_at, self._limit()
            if silent <= limit:
                return None
            return f"No progress for {silent:.0f} s while {self._phase} (limit: {limit:.0f} s)."

    def _limit(self) -> float:
        if self._phase == "loading":
            return LOADING_S
        if self._phase in {"compiling", "saving"} or not self._has_stepped:
            return COMPILING_S
        return self._min_patience_s + USUAL_STEPS * (median(self._seconds) if self._seconds else 0.0)
