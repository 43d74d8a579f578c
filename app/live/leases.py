"""Leases of attempts, reservations of runs and presence of workers, on the app's own monotonic clock.

In memory: a lease expires only while the app runs. After a restart every held attempt gets `RESTART_GRACE_S`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Lock

from app.timing import DEFAULT_TIMING, Timing

LEASE_S = 10.0
RESTART_GRACE_S = 15.0
PRESENT_S = 6.0  # without a heartbeat (one every two seconds) a worker counts as disconnected
JUST_S = 3.0  # a waiting claim checks again about every second

Held = tuple[int, int]  # run, attempt


class Leases:
    """Deadlines of held attempts, and when each worker was last seen. Safe from any thread."""

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
        """Give the attempt's holder a lease for this many seconds from now."""
        with self._lock:
            for held in ((run, attempt - 1), (run, attempt)):
                self._kept.pop(held, None)
            self._deadlines[run, attempt] = self._clock() + seconds

    def give_back(self, run: int, attempt: int, seconds: float) -> None:
        """Restore a lease that `lapsed` removed but could not be processed, unless it was renewed meanwhile."""
        with self._lock:
            self._deadlines.setdefault((run, attempt), self._clock() + seconds)

    def holds(self, run: int, attempt: int) -> bool:
        """Whether the attempt has a lease."""
        with self._lock:
            return (run, attempt) in self._deadlines

    def extend_all(self, seconds: float) -> None:
        """Extend all leases: the app was suspended for that long and could not receive heartbeats."""
        with self._lock:
            self._deadlines = {held: deadline + seconds for held, deadline in self._deadlines.items()}

    def restore(self, held: Iterable[Held]) -> None:
        """At start: give every holder time to reconnect."""
        for run, attempt in held:
            self.grant(run, attempt, RESTART_GRACE_S)

    def end(self, run: int, attempt: int) -> None:
        with self._lock:
            self._deadlines.pop((run, attempt), None)

    def lapsed(self) -> list[Held]:
        """Remove and return the attempts whose lease has expired. A later heartbeat begins a new lease."""
        with self._lock:
            now = self._clock()
            lapsed = [held for held, deadline in self._deadlines.items() if deadline < now]
            for held in lapsed:
                del self._deadlines[held]
            return lapsed

    def is_silent(self, run: int, attempt: int) -> bool:
        """Whether three heartbeats of the holder are missing: its lease is about to expire."""
        with self._lock:
            deadline = self._deadlines.get((run, attempt))
            return deadline is not None and deadline - self._clock() < LEASE_S - PRESENT_S

    def pop_changed_silence(self) -> list[Held]:
        """Attempts whose `is_silent` has changed since the last call."""
        with self._lock:
            held = list(self._deadlines)
        silent = {one for one in held if self.is_silent(*one)}
        turned = silent ^ self._silent
        self._silent = silent
        return sorted(turned)

    def is_kept(self, run: int, attempt: int) -> bool:
        """Whether the run (last attempt: `attempt`) is still reserved for the worker with its newest checkpoint.

        The reservation begins with the first claim of another worker: before that, waiting costs nothing.
        """
        with self._lock:
            return self._clock() < self._kept.setdefault((run, attempt), self._clock() + self._holder_first_s)

    @property
    def has_reservations(self) -> bool:
        """Whether the reservation of a run will expire, or has just expired."""
        with self._lock:
            return any(until > self._clock() - JUST_S for until in self._kept.values())

    def mark_seen(self, worker: str) -> None:
        """A request of the worker has arrived."""
        with self._lock:
            self._seen[worker] = self._clock()

    def mark_waiting(self, worker: str, *, waits: bool) -> None:
        """A claim of the worker has begun or ended waiting."""
        with self._lock:
            self._waiting[worker] = self._waiting.get(worker, 0) + (1 if waits else -1)
            self._seen[worker] = self._clock()

    def mark_gone(self, worker: str) -> None:
        """The worker disconnected while it waited: do not show it as connected. Call after `mark_waiting`."""
        with self._lock:
            self._seen.pop(worker, None)

    @property
    def has_workers(self) -> bool:
        """Whether any worker is connected."""
        with self._lock:
            names = list(self._seen)
        return any(self.is_present(name) for name in names)

    def is_present(self, worker: str) -> bool:
        with self._lock:
            if self._waiting.get(worker, 0) > 0:
                return True
            return self._clock() - self._seen.get(worker, -PRESENT_S) < PRESENT_S
