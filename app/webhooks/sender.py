"""Sends webhooks: at once when a run ends, and again later where that fails.

Runs as long as the app, if any webhook is configured. Deliveries are queued in the database (deliveries.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from app.errors import Trouble
from app.live.events import Stream
from app.settings import Settings, Webhook
from app.web.deps import State
from app.webhooks import client, deliveries
from app.webhooks.messages import message_body

logger = logging.getLogger(__name__)

POLL_S = 15.0  # for retries, and for runs that ended while the stream was closed


async def run_sender(state: State) -> None:
    """Runs until the app closes. Failures of the database or of a webhook never stop it."""
    while not state.hub.closing:
        with state.hub.stream(None) as stream:  # opened first, so that it has every run that ends meanwhile
            try:
                await asyncio.to_thread(deliver_due, state)
            except Trouble as trouble:
                logger.warning("webhooks delayed: %s", trouble.detail)
            except Exception:
                logger.exception("webhooks delayed by an unexpected error")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_wait_for_end_of_run(stream), POLL_S)


async def _wait_for_end_of_run(stream: Stream) -> None:
    """Returns when a run ends or the stream closes."""
    while (event := await stream.next()) is not None:
        if event.event == "status" and event.data["ended"]:
            return


def deliver_due(state: State) -> None:
    """Send every delivery that is due, one after the other."""
    hooks = state.settings.hooks
    with state.records.write() as session:
        deliveries.enqueue_ended_runs(session, hooks, state.now())
        due = deliveries.load_due(session, hooks, state.now())
    for delivery_id, hook, run in due:
        error = _send(state.settings, hook, run)
        with state.records.write() as session:
            deliveries.record_attempt(session, delivery_id, error, state.now())
        if error:
            logger.warning("webhook %s (%s): %s", hook.kind, hook.host, error)


def _send(settings: Settings, hook: Webhook, run: dict[str, object]) -> str | None:
    """Returns why it was not delivered."""
    link = f"{settings.public_url}/runs/{run['id']}" if settings.public_url and run else settings.public_url
    try:
        client.post(hook.url, message_body(hook.kind, run, link), may_be_private=settings.webhooks_private)
    except client.NotDelivered as error:
        return str(error)
    return None
