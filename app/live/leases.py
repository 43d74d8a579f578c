"""Who holds which attempt, for whom a run is kept, which workers are there. On the app's own monotonic clock.

Kept in memory: a lease lapses only while the app runs; after a restart every attempt that was held gets
`RESTART_GRACE_S`.
Must not know SQL: run_queue.py asks what has lapsed and writes what follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Lock

from app.timing import DEFAULT_TIMING, Timing

LEASE_S = 10.0
RESTART_GRACE_S = 15.0
PRESENT_S = 6.0  # a worker that has not been heard of for three beats is not there
JUST_S = 3.0  # who waits for a run asks again every second or so

Held = tuple[int, int]  # run, attempt


class Leases:
    """Deadlines of the attempts that are held, and the last sign of life of each worker. Safe from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, timing: Timing = DEFAULT_TIMING) -> None:
        self._clock = clock
        self._holder_first_s = timing.checkpoint_holder_first_s
        self._deadlines: dict[Held, float] = {}
        self._seen: dict[str, float] = {}
        self._waiting: dict[str, int] = {}
        self._kept: dict[Held, float] = {}
        self._silent: set[Held] = set()
        self._lock = Lock()

    def grant(self, run: int, attempt: int, seconds: float = LEASE_S) -> None:
        """Let the attempt's holder have it for so long from now."""
        with self._lock:
            for held in ((run, attempt - 1), (run, attempt)):
                self._kept.pop(held, None)
            self._deadlines[run, attempt] = self._clock() + seconds

    def give_back(self, run: int, attempt: int, seconds: float) -> None:
        """After `lapsed` took it out in vain: a little time, unless the holder has been heard of meanwhile."""
        with self._lock:
            self._deadlines.setdefault((run, attempt), self._clock() + seconds)

    def holds(self, run: int, attempt: int) -> bool:
        """Whether the attempt has a lease."""
        with self._lock:
            return (run, attempt) in self._deadlines

    def stood_still(self, seconds: float) -> None:
        """The app itself did for so long, and heard nobody: that time does not count."""
        with self._lock:
            self._deadlines = {held: deadline + seconds for held, deadline in self._deadlines.items()}

    def restore(self, held: Iterable[Held]) -> None:
        """At start: give every holder time to find the app again."""
        for run, attempt in held:
            self.grant(run, attempt, RESTART_GRACE_S)

    def end(self, run: int, attempt: int) -> None:
        with self._lock:
            self._deadlines.pop((run, attempt), None)

    def lapsed(self) -> list[Held]:
        """Take out the attempts whose deadline has passed. A beat that comes now begins a new lease."""
        with self._lock:
            now = self._clock()
            lapsed = [held for held, deadline in self._deadlines.items() if deadline < now]
            for held in lapsed:
                del self._deadlines[held]
            return lapsed

    def is_silent(self, run: int, attempt: int) -> bool:
        """Whether three beats of a holder are missing: its lease is about to lapse."""
        with self._lock:
            deadline = self._deadlines.get((run, attempt))
            return deadline is not None and deadline - self._clock() < LEASE_S - PRESENT_S

    def turned_silent(self) -> list[Held]:
        """The attempts whose holder fell silent, or is heard of again, since this was asked last."""
        with self._lock:
            held = list(self._deadlines)
        silent = {one for one in held if self.is_silent(*one)}
        turned = silent ^ self._silent
        self._silent = silent
        return sorted(turned)

    def is_kept(self, run: int, attempt: int) -> bool:
        """Whether the run (last attempt: `attempt`) still waits for the worker that it is kept for.

        The time begins when somebody else asks first: where nobody does, nothing is lost by waiting.
        """
        with self._lock:
            return self._clock() < self._kept.setdefault((run, attempt), self._clock() + self._holder_first_s)

    @property
    def keeps_any(self) -> bool:
        """Whether a run becomes free by the passing of time alone, or has just become so."""
        with self._lock:
            return any(until > self._clock() - JUST_S for until in self._kept.values())

    def saw(self, worker: str) -> None:
        """A worker spoke."""
        with self._lock:
            self._seen[worker] = self._clock()

    def waits(self, worker: str, *, waits: bool) -> None:
        """A worker's request for work is open, or has just ended."""
        with self._lock:
            self._waiting[worker] = self._waiting.get(worker, 0) + (1 if waits else -1)
            self._seen[worker] = self._clock()

    def gone(self, worker: str) -> None:
        """A worker hung up while it waited, once `waits` has ended: do not show it as present."""
        with self._lock:
            self._seen.pop(worker, None)

    @property
    def anybody(self) -> bool:
        """Whether any worker is there."""
        with self._lock:
            names = list(self._seen)
        return any(self.present(name) for name in names)

    def present(self, worker: str) -> bool:
        with self._lock:
            if self._waiting.get(worker, 0) > 0:
                return True
            return self._clock() - self._seen.get(worker, -PRESENT_S) < PRESENT_S
