"""Server-sent events: committed events are pushed to open streams; a dropped stream resumes by Last-Event-ID.

Events with an id are stored and can be replayed from the records; `step`, `log`, `silent` and `deleted` have none. A
client that reads too slowly is dropped and reconnects for the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent
from sqlalchemy import func, select

from app.records.database import Records
from app.records.models import Event
from app.records.outbox import OutboxEvent

WAITING_EVENTS = 1000  # per client; about two minutes of eight busy runs
REPLAY_ROWS = 500
RECONNECT_MS = 1000


class Hub:
    """Sends published events to the open streams, and wakes workers that wait for a run. Belongs to one event loop."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._streams: set[Stream] = set()
        self._wakers: set[asyncio.Event] = set()
        self._end_wakers: set[asyncio.Event] = set()
        self.steps: dict[int, dict[str, Any]] = {}  # run -> its latest step, for pages opened in mid-epoch
        self.closing = False

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def publish(self, events: list[OutboxEvent]) -> None:
        """Safe from any thread. Called in the order of commits, so ids arrive in order."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._send, events)

    def close(self) -> None:
        """End all streams, so that the server can stop at once."""
        self.closing = True
        for stream in self._streams:
            stream.end()
        for waker in self._wakers | self._end_wakers:
            waker.set()

    @contextlib.contextmanager
    def stream(self, run_id: int | None) -> Any:
        stream = Stream(run_id)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)

    def waker(self) -> Any:
        """Context of an asyncio.Event that is set whenever a run is queued."""
        return _woken_by(self._wakers)

    def end_waker(self) -> Any:
        """Context of an asyncio.Event that is set whenever a run ends or is deleted."""
        return _woken_by(self._end_wakers)

    @property
    def open_streams(self) -> int:
        return len(self._streams)

    def _send(self, events: list[OutboxEvent]) -> None:
        for event in events:
            if event.event == "step":
                self.steps[event.run] = event.data
            elif event.event == "status":
                self.steps.pop(event.run, None)
                if event.data["status"] == "queued":
                    for waker in self._wakers:
                        waker.set()
            if event.event == "deleted" or (event.event == "status" and event.data["ended"]):
                for waker in self._end_wakers:
                    waker.set()
            for stream in self._streams:
                stream.offer(event)


class Stream:
    """One client's bounded queue."""

    def __init__(self, run_id: int | None) -> None:
        self._run_id = run_id
        self._queue: asyncio.Queue[OutboxEvent | None] = asyncio.Queue(WAITING_EVENTS + 1)  # one place for the end

    def offer(self, event: OutboxEvent) -> None:
        if self._run_id is not None and event.run != self._run_id:
            return
        if self._queue.qsize() >= WAITING_EVENTS:
            self.end()
        else:
            self._queue.put_nowait(event)

    def end(self) -> None:
        """Discards the queue: the client resumes by its last id."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def next(self) -> OutboxEvent | None:
        """None: the stream has ended."""
        return await self._queue.get()


async def follow(
    hub: Hub, records: Records, run_id: int | None, after: int | None, ready: Callable[[], None] = lambda: None
) -> AsyncIterator[ServerSentEvent]:
    """The stream of one run, or of all (`run_id` None): first the events stored after the id `after`, then new ones.

    `after` None: nothing is replayed. An id that is no longer known sends `reload`: the page is out of date.
    """
    with hub.stream(run_id) as stream:
        ready()
        yield ServerSentEvent(comment="pitwall", retry=RECONNECT_MS)
        last = after
        if after is not None:
            if await run_in_threadpool(_is_unknown, records, after):
                last = await run_in_threadpool(_newest, records)  # read before `reload` is sent: later events follow it
                yield ServerSentEvent(event="reload", data={})
            while rows := await run_in_threadpool(_stored, records, run_id, last or 0):
                for row in rows:
                    yield _server_sent(row)
                last = rows[-1].id
        for run, step in list(hub.steps.items()):
            if run_id in (None, run):
                yield ServerSentEvent(event="step", data=step)
        while not hub.closing:
            event = await stream.next()
            if event is None:
                return
            if event.id is None or event.id > (last or 0):
                yield _server_sent(event)


def _server_sent(event: OutboxEvent) -> ServerSentEvent:
    return ServerSentEvent(event=event.event, data=event.data, id=None if event.id is None else str(event.id))


def _stored(records: Records, run_id: int | None, after: int) -> list[OutboxEvent]:
    query = select(Event).where(Event.id > after).order_by(Event.id).limit(REPLAY_ROWS)
    if run_id is not None:
        query = query.where(Event.run_id == run_id)
    with records.read() as session:
        return [OutboxEvent(row.id, row.run_id, row.kind, row.data) for row in session.scalars(query)]


def _is_unknown(records: Records, after: int) -> bool:
    """Whether the id is older than the oldest stored event, or of another database."""
    with records.read() as session:
        oldest, newest = session.execute(select(func.min(Event.id), func.max(Event.id))).one()
    return after > (newest or 0) or (oldest is not None and 0 < after < oldest - 1)


def _newest(records: Records) -> int:
    with records.read() as session:
        return session.scalar(select(func.max(Event.id))) or 0


@contextlib.contextmanager
def _woken_by(wakers: set[asyncio.Event]) -> Any:
    waker = asyncio.Event()
    wakers.add(waker)
    try:
        yield waker
    finally:
        wakers.discard(waker)
