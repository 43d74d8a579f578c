"""What is said to a webhook when a run ends. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.settings import Kind

MAX_CHARACTERS = 1900  # Discord takes 2,000


def message_body(kind: Kind, told: Mapping[str, Any], link: str) -> bytes:
    """JSON in the shape that the other side reads. `told`: runs.brief of a run that ended, or nothing for a test."""
    if kind == "json":
        said = {"event": "run_ended" if told else "test", "run": dict(told) or None, "url": link or None}
        return json.dumps(said).encode()
    text = _sentence(told)[:MAX_CHARACTERS]
    if kind == "slack":
        for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(sign, written)
        return json.dumps({"text": f"{text}\n{link}".strip()}).encode()
    # a run's name must not call everybody
    return json.dumps({"content": f"{text}\n{link}".strip(), "allowed_mentions": {"parse": []}}).encode()


def _sentence(told: Mapping[str, Any]) -> str:
    if not told:
        return "Pitwall can write here: a run that ends is told of like this."
    best = told.get("best_val_accuracy")
    said = f"{told['name']} {told['status']} after {told['last_epoch']} of {told['epochs']} epochs"
    said += "" if best is None else f", best accuracy {best:.2%}"
    return f"{said}. {told['reason']}" if told.get("reason") else f"{said}."
