"""Buffers a child's events and log until they are delivered: in order, exactly once, also while the app is down.

One thread adds, one takes. Nothing is dropped except outdated `step` events.
"""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass
from threading import Condition
from typing import Any

TOGETHER_S = 0.9
BATCH_EVENTS = 500
BATCH_LOG = 64 * 1024  # characters; as JSON, this stays below the app's 1 MiB even if all of it is escaped
MAX_LOG = 8 * 1024 * 1024  # bytes of log per attempt


@dataclass(frozen=True)
class Batch:
    """The content of one report."""

    first_seq: int
    events: list[dict[str, Any]]
    log_offset: int
    log: str


class Spool:
    """Takes lines, yields batches. A batch stays in the spool until `mark_delivered`."""

    def __init__(self, together_s: float = TOGETHER_S) -> None:
        """`together_s`: minimum seconds between two batches that hold only steps and log lines."""
        self._together_s = together_s
        self._changed = Condition()
        self._events: deque[dict[str, Any]] = deque()
        self._first_seq = 0
        self._log: deque[str] = deque()
        self._log_offset = 0
        self._log_bytes = 0
        self._in_flight = 0  # events of the batch being delivered, which must not change any more
        self._closed = False
        self._taken_at = 0.0

    def add_event(self, line: str) -> dict[str, Any] | None:
        """Add a line of the child's stdout; returns the event. A line that is not an event goes to the log."""
        try:
            event = json.loads(line)
            json.dumps(event, allow_nan=False, ensure_ascii=False).encode()  # must be valid to send
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            self.add_log(line + "\n")
            return None
        with self._changed:
            is_step = event["event"] == "step"
            if is_step and len(self._events) > self._in_flight and self._events[-1]["event"] == "step":
                self._events[-1] = event  # replaces an older step that was not sent yet
            else:
                self._events.append(event)
            self._changed.notify_all()
        return event

    def add_log(self, text: str) -> None:
        """Add a piece of the child's log. Beyond `MAX_LOG` it is truncated with a note."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        with self._changed:
            if self._log_bytes >= MAX_LOG:
                return
            self._log_bytes += len(text.encode())
            self._log.append(text)
            if self._log_bytes >= MAX_LOG:
                self._log.append(f"\n… the log is cut here, at {MAX_LOG // 2**20} MiB\n")
            self._changed.notify_all()

    def close(self) -> None:
        """Call when no more output will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def next_batch(self, timeout: float, at_most: int = BATCH_EVENTS) -> Batch | None:
        """Wait for the next batch; None after `timeout` seconds or when everything is delivered."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._log or self._closed, timeout)
            # steps and log lines are collected for a while: fewer reports leave more of the machine to the training
            together = self._taken_at + self._together_s - time.monotonic()
            self._changed.wait_for(self._is_urgent, max(together, 0))
            if not self._events and not self._log:
                return None
            self._taken_at = time.monotonic()
            events = [self._events[i] for i in range(min(len(self._events), at_most))]
            self._in_flight = len(events)
            return Batch(self._first_seq, events, self._log_offset, self._head())

    def mark_delivered(self, batch: Batch, *, counts: bool = True) -> None:
        """Remove a batch that the app has. `counts` False: the app rejected it, and the next one reuses its numbers."""
        with self._changed:
            for _ in batch.events:
                self._events.popleft()
            self._first_seq += len(batch.events) if counts else 0
            self._in_flight = 0
            if batch.log:
                self._log[0] = self._log[0][len(batch.log) :]
                if not self._log[0]:
                    self._log.popleft()
                self._log_offset += len(batch.log.encode()) if counts else 0

    def _is_urgent(self) -> bool:
        return self._closed or any(event["event"] != "step" for event in self._events)

    @property
    def done(self) -> bool:
        """Whether the spool is closed and everything delivered."""
        with self._changed:
            return self._closed and not self._events and not self._log

    def _head(self) -> str:
        """The first part of the pending log, up to the limit of a batch. Joins the pieces on the way."""
        if not self._log:
            return ""
        whole = "".join(self._log)
        self._log.clear()
        self._log.append(whole)
        return whole[:BATCH_LOG]
