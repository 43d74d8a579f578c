"""Tasks that workers execute beside their runs: predict an image with a trained model, export a model.

In memory only: the client waits for the result, and a restart of the app discards both. Not safe from other threads
than that of the event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.errors import Busy, NotFound, Trouble

MAX_QUEUED = 8  # each holds an image in memory
PATIENCE_S = 120.0  # of the client: an export imports a framework, which is slow on a busy machine
DISCONNECT_CHECK_S = 1.0  # how often waiting requests check whether their client is still connected
CLAIM_SEEN_S = 30.0  # how long a worker counts as connected after a claim
TASK_SEEN_S = 110.0  # and after it got a task: it does not claim meanwhile, even if the client has gone


IsGone = Callable[[], Awaitable[bool]]


@dataclass(eq=False)
class Task:
    what: Literal["look", "export"]
    run: int
    weights: Path
    sha256: str  # of the weights
    format: str | None = None
    picture: bytes = b""
    number: int = 0
    answer: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Tasks:
    """The queue between clients and workers."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: deque[Task] = deque()
        self._claimed: dict[int, Task] = {}
        self._worker_until = 0.0
        self._came = asyncio.Event()

    @property
    def has_worker(self) -> bool:
        """Whether a worker has claimed a task recently, or executes one."""
        return time.monotonic() < self._worker_until

    async def ask(self, task: Task, is_gone: IsGone) -> Any:
        """Queue a task and wait for its result. Raises Trouble if no worker is connected, it takes too long, or the
        client has gone."""
        if not self.has_worker:
            raise Trouble("no worker is connected to do this: start one and try again")
        if len(self._waiting) >= MAX_QUEUED:
            raise Busy("too many requests of this kind are waiting: try again in a few seconds")
        task.number = next(self._numbers)
        self._waiting.append(task)
        self._came.set()
        ends = time.monotonic() + PATIENCE_S
        try:
            while not (await asyncio.wait([task.answer], timeout=DISCONNECT_CHECK_S))[0]:
                if time.monotonic() > ends:
                    raise Trouble(f"no worker has answered within {PATIENCE_S:.0f} s: try again")
                if await is_gone() and not task.answer.done():
                    raise Trouble("the app is being restarted: try again in a few seconds")
            return task.answer.result()
        finally:
            self._claimed.pop(task.number, None)
            if task in self._waiting:
                self._waiting.remove(task)

    async def claim(self, wait_s: float, is_gone: IsGone) -> Task | None:
        """The oldest queued task; None if there is none within `wait_s`, or the worker disconnects."""
        ends = time.monotonic() + wait_s
        while True:
            self._worker_until = max(self._worker_until, time.monotonic() + CLAIM_SEEN_S)
            if await is_gone():
                return None
            if self._waiting:
                task = self._waiting.popleft()
                self._claimed[task.number] = task
                self._worker_until = time.monotonic() + TASK_SEEN_S
                return task
            self._came.clear()
            left = ends - time.monotonic()
            if left <= 0:
                return None
            try:
                await asyncio.wait_for(self._came.wait(), min(left, DISCONNECT_CHECK_S))
            except TimeoutError:
                continue

    def find_claimed(self, number: int) -> Task:
        """A task that a worker executes. Raises NotFound if no client is waiting for it any more."""
        if (task := self._claimed.get(number)) is None:
            raise NotFound(f"no client is waiting for task {number} any more")
        return task

    def resolve(self, number: int, answer: Any) -> None:
        """Pass the result to the client's `ask`; an exception is raised there."""
        task = self.find_claimed(number)
        if task.answer.done():
            raise NotFound(f"task {number} already has a result")
        if isinstance(answer, Exception):
            task.answer.set_exception(answer)
        else:
            task.answer.set_result(answer)
