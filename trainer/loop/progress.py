"""Publishes the run's progress about once a second, in every phase of the run.

A thread of its own, so that the clock advances during a step of ten seconds or a long import. It never touches the
device: it repeats the latest update with the current time.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Thread
from time import perf_counter
from types import TracebackType
from typing import Any

from trainer.events import BaseEvent, Phase, Step

INTERVAL = 0.75  # seconds between two events: at least one per second, with a margin


class Progress:
    """A context manager that publishes only while it is entered."""

    def __init__(self, emit: Callable[[BaseEvent], None]) -> None:
        self._emit = emit
        self._lock = Lock()
        self._over = Event()
        self._began = perf_counter()
        self._known: dict[str, Any] = {"phase": "loading"}
        self._thread = Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def phase(self, phase: Phase, epoch: int = 0, steps_per_epoch: int = 0) -> None:
        """Start a new phase: reset the clock and all fields."""
        with self._lock:
            self._began = perf_counter()
            self._known = {"phase": phase, "epoch": epoch, "steps_per_epoch": steps_per_epoch}

    def update(self, **known: Any) -> None:
        """Fields of `Step` that have changed."""
        with self._lock:
            self._known.update(known)

    def _run(self) -> None:
        while not self._over.wait(INTERVAL):
            with self._lock:
                step = Step(**self._known, seconds=perf_counter() - self._began)
            try:
                self._emit(step)
            except OSError:
                return  # the reader is gone; the run finds out at its next event
