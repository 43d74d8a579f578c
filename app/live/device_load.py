"""Recent device load of each worker, in memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

WINDOW_S = 600.0
MAX_SAMPLES = 600  # of a worker: twice as many as heartbeats, one every two seconds, in the window


@dataclass(frozen=True)
class Sample:
    ago_s: float
    reading: dict[str, Any]  # busy, memory, memory_total, temperature, watts; null: not known


class DeviceLoads:
    """Safe from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, Lock()
        self._samples: dict[str, deque[tuple[float, dict[str, Any]]]] = {}

    def add(self, worker: str, reading: dict[str, Any]) -> None:
        with self._lock:
            self._samples.setdefault(worker, deque(maxlen=MAX_SAMPLES)).append((self._clock(), reading))

    def list_samples(self, worker: str) -> list[Sample]:
        """The oldest first."""
        now = self._clock()
        with self._lock:
            samples = list(self._samples.get(worker, ()))
        return [Sample(now - at, reading) for at, reading in samples if now - at <= WINDOW_S]
