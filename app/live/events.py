"""Server-sent events: what was committed is pushed to whoever watches; a dropped stream resumes by Last-Event-ID.

The records are the memory, this module only passes on. Events with an id are stored and can be replayed;
`step`, `log` and `deleted` have none. A client that reads too slowly is dropped and comes back for the rest.
Must not know what the events mean.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent
from sqlalchemy import func, select

from app.records.database import Records, Told
from app.records.models import Event

WAITING_EVENTS = 1000  # per client; about two minutes of eight busy runs
REPLAY_ROWS = 500
RECONNECT_MS = 1000


class Hub:
    """Spreads told events to the open streams, and wakes workers that wait for a run. Lives on one event loop."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._streams: set[Stream] = set()
        self._wakers: set[asyncio.Event] = set()
        self.steps: dict[int, dict[str, Any]] = {}  # run -> where it stands, for pages opened in mid-epoch
        self.closing = False

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def tell(self, told: list[Told]) -> None:
        """Spread events; from any thread. Called in the order of commits, so ids arrive in order."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._spread, told)

    def close(self) -> None:
        """End all streams, so that the server can stop at once."""
        self.closing = True
        for stream in self._streams:
            stream.end()
        for waker in self._wakers:
            waker.set()

    @contextlib.contextmanager
    def stream(self, run_id: int | None) -> Any:
        stream = Stream(run_id)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)

    @contextlib.contextmanager
    def waker(self) -> Any:
        """An asyncio.Event that is set whenever a run is queued."""
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            yield waker
        finally:
            self._wakers.discard(waker)

    @property
    def open_streams(self) -> int:
        return len(self._streams)

    def _spread(self, told: list[Told]) -> None:
        for one in told:
            if one["event"] == "step":
                self.steps[one["run"]] = one["data"]
            elif one["event"] == "status":
                self.steps.pop(one["run"], None)
                if one["data"]["status"] == "queued":
                    for waker in self._wakers:
                        waker.set()
            for stream in self._streams:
                stream.offer(one)


class Stream:
    """One client's bounded queue."""

    def __init__(self, run_id: int | None) -> None:
        self._run_id = run_id
        self._queue: asyncio.Queue[Told | None] = asyncio.Queue(WAITING_EVENTS + 1)  # one place for the end

    def offer(self, told: Told) -> None:
        if self._run_id is not None and told["run"] != self._run_id:
            return
        if self._queue.qsize() >= WAITING_EVENTS:
            self.end()
        else:
            self._queue.put_nowait(told)

    def end(self) -> None:
        """No more: what waits is thrown away, the client resumes by its last id."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def next(self) -> Told | None:
        return await self._queue.get()


async def follow(
    hub: Hub, records: Records, run_id: int | None, after: int | None, ready: Callable[[], None] = lambda: None
) -> AsyncIterator[ServerSentEvent]:
    """The stream of one run, or of all (`run_id` None): first what was stored after `after`, then what comes.

    `after` None: nothing is replayed. An id that is no longer known answers `reload`: the page is out of date.
    """
    with hub.stream(run_id) as stream:
        ready()
        yield ServerSentEvent(comment="pitwall", retry=RECONNECT_MS)
        last = after
        if after is not None:
            if await run_in_threadpool(_is_unknown, records, after):
                last = await run_in_threadpool(_newest, records)  # before the word: what comes after it is sent
                yield ServerSentEvent(event="reload", data={})
            while rows := await run_in_threadpool(_stored, records, run_id, last or 0):
                for row in rows:
                    yield _sent(row)
                last = rows[-1]["id"]
        for run, step in list(hub.steps.items()):
            if run_id in (None, run):
                yield ServerSentEvent(event="step", data=step)
        while not hub.closing:
            told = await stream.next()
            if told is None:
                return
            if told["id"] is None or told["id"] > (last or 0):
                yield _sent(told)


def _sent(told: Told) -> ServerSentEvent:
    return ServerSentEvent(
        event=told["event"],
        data=told["data"],
        id=None if told["id"] is None else str(told["id"]),
    )


def _stored(records: Records, run_id: int | None, after: int) -> list[Told]:
    query = select(Event).where(Event.id > after).order_by(Event.id).limit(REPLAY_ROWS)
    if run_id is not None:
        query = query.where(Event.run_id == run_id)
    with records.read() as session:
        return [
            {"id": row.id, "run": row.run_id, "event": row.kind, "data": row.data} for row in session.scalars(query)
        ]


def _is_unknown(records: Records, after: int) -> bool:
    """An id from before the oldest that is kept, or from another database."""
    with records.read() as session:
        oldest, newest = session.execute(select(func.min(Event.id), func.max(Event.id))).one()
    return after > (newest or 0) or (oldest is not None and 0 < after < oldest - 1)


def _newest(records: Records) -> int:
    with records.read() as session:
        return session.scalar(select(func.max(Event.id))) or 0
