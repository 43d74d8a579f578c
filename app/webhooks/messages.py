"""The message that a webhook sends when a run ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.settings import WebhookKind
from app.web.labels import CONCERNS, STATUSES

MAX_CHARACTERS = 1900  # Discord accepts 2,000


def message_body(kind: WebhookKind, run: Mapping[str, Any], link: str) -> bytes:
    """JSON in the format of the receiving service. `run`: outbox.run_summary of the ended run; empty for a test."""
    if kind == "json":
        message = {"event": "run_ended" if run else "test", "run": dict(run) or None, "url": link or None}
        return json.dumps(message).encode()
    text = _sentence(run)[:MAX_CHARACTERS]
    if kind == "slack":
        for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(character, escaped)
        return json.dumps({"text": f"{text}\n{link}".strip()}).encode()
    # No mentions: a run's name may contain @everyone.
    return json.dumps({"content": f"{text}\n{link}".strip(), "allowed_mentions": {"parse": []}}).encode()


def _sentence(run: Mapping[str, Any]) -> str:
    if not run:
        return "Pitwall is connected. Messages about runs that end are posted here."
    best, epoch = run.get("best_val_accuracy"), run.get("best_epoch")
    status = STATUSES.get(run["status"], run["status"]).lower()
    text = f"{run['name']} {status} after {run['last_epoch']} of {run['epochs']} epochs"
    text += "" if best is None else f", best accuracy {best:.2%}"
    text += f" in epoch {epoch}" if epoch else ""  # waiting messages of an earlier version do not have it
    text += f": {CONCERNS[run['concern']]}" if run.get("concern") in CONCERNS else ""
    return f"{text}. {run['reason']}" if run.get("reason") else f"{text}."
