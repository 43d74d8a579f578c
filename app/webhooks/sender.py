"""Carries what webhooks are to be told: at once when a run ends, again and later where nobody answers.

Runs as long as the app, and only where there are hooks. What is to be told lies in the records (deliveries.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from app.errors import Trouble
from app.live.events import Stream
from app.settings import Hook, Settings
from app.web.deps import State
from app.webhooks import client, deliveries
from app.webhooks.messages import message_body

logger = logging.getLogger(__name__)

LOOKS_EVERY_S = 15.0  # for retries, and for what was told while nobody listened


async def carry(state: State) -> None:
    """Until the app ends. Trouble with the records or with a hook never ends it."""
    while not state.hub.closing:
        with state.hub.stream(None) as stream:  # opened first: what ends meanwhile is heard
            try:
                await asyncio.to_thread(deliver, state)
            except Trouble as trouble:
                logger.warning("webhooks wait: %s", trouble.detail)
            except Exception:
                logger.exception("webhooks wait, by a mistake of ours")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_end_of_a_run(stream), LOOKS_EVERY_S)


async def _end_of_a_run(stream: Stream) -> None:
    """Or of the stream."""
    while (told := await stream.next()) is not None:
        if told["event"] == "status" and told["data"]["ended"]:
            return


def deliver(state: State) -> None:
    """Try everything that is due, one after the other."""
    known = state.settings.hooks
    with state.records.write() as session:
        deliveries.note_ended(session, known, state.now())
        waiting = deliveries.due(session, known, state.now())
    for number, hook, told in waiting:
        refused = _send(state.settings, hook, told)
        with state.records.write() as session:
            deliveries.note_tried(session, number, refused, state.now())
        if refused:
            logger.warning("webhook %s (%s): %s", hook.kind, hook.host, refused)


def _send(settings: Settings, hook: Hook, told: dict[str, object]) -> str | None:
    link = f"{settings.public_url}/runs/{told['id']}" if settings.public_url and told else settings.public_url
    try:
        client.post(hook.url, message_body(hook.kind, told, link), may_be_private=settings.webhooks_private)
    except client.NotDelivered as refusal:
        return str(refusal)
    return None
