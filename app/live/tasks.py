"""The tasks that workers do beside their runs: a look at a picture with a trained net, a net in another format.

In memory only: whoever asked waits for the answer, and a restart of the app forgets both. All of it happens in the
event loop. Must not know HTTP, the records, nets or pictures.
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

MAX_QUEUED = 8  # each holds a picture in memory
PATIENCE_S = 120.0  # of who asked: an export imports a framework, on a busy machine that takes its time
LOOKS_S = 1.0  # how often those who wait look whether the other end is still there
ATTENDED_S = 30.0  # a worker that asked so lately is there
DOING_S = 110.0  # and one that took a task so lately: it does not ask meanwhile, even where nobody waits any more


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
    """Between those who ask and those who do."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: deque[Task] = deque()
        self._taken: dict[int, Task] = {}
        self._attended_until = 0.0
        self._came = asyncio.Event()

    @property
    def are_attended(self) -> bool:
        """Whether a worker has asked for one lately, or does one."""
        return time.monotonic() < self._attended_until

    async def ask(self, task: Task, is_gone: IsGone) -> Any:
        """Its answer. Raises Trouble where there is nobody to do it, it takes too long, or who asked has gone."""
        if not self.are_attended:
            raise Trouble("no worker is here to do this: start one, and ask again")
        if len(self._waiting) >= MAX_QUEUED:
            raise Busy("too many are waiting for such an answer: ask again in a few seconds")
        task.number = next(self._numbers)
        self._waiting.append(task)
        self._came.set()
        ends = time.monotonic() + PATIENCE_S
        try:
            while not (await asyncio.wait([task.answer], timeout=LOOKS_S))[0]:
                if time.monotonic() > ends:
                    raise Trouble(f"no worker has answered within {PATIENCE_S:.0f} s: ask again")
                if await is_gone() and not task.answer.done():
                    raise Trouble("the app is being restarted: ask again in a few seconds")
            return task.answer.result()
        finally:
            self._taken.pop(task.number, None)
            if task in self._waiting:
                self._waiting.remove(task)

    async def claim(self, wait_s: float, is_gone: IsGone) -> Task | None:
        """The oldest that waits; None when there was none for so long, or the worker has hung up."""
        ends = time.monotonic() + wait_s
        while True:
            self._attended_until = max(self._attended_until, time.monotonic() + ATTENDED_S)
            if await is_gone():
                return None
            if self._waiting:
                task = self._waiting.popleft()
                self._taken[task.number] = task
                self._attended_until = time.monotonic() + DOING_S
                return task
            self._came.clear()
            left = ends - time.monotonic()
            if left <= 0:
                return None
            try:
                await asyncio.wait_for(self._came.wait(), min(left, LOOKS_S))
            except TimeoutError:
                continue

    def taken(self, number: int) -> Task:
        """One that a worker does. Raises NotFound where nobody waits for it any more."""
        if (task := self._taken.get(number)) is None:
            raise NotFound(f"nobody waits for task {number} any more")
        return task

    def done(self, number: int, answer: Any) -> None:
        """Hand the answer to who asked: an exception is raised there."""
        task = self.taken(number)
        if task.answer.done():
            raise NotFound(f"task {number} has its answer already")
        if isinstance(answer, Exception):
            task.answer.set_exception(answer)
        else:
            task.answer.set_result(answer)
