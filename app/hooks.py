"""Webhooks as the administrator names them, and what is said to each when a run ends. Pure; must not know the records.

A hook is written `KIND=URL`; several are separated by spaces. The URL is a secret: whoever has it can write there, so
pages, records and logs hold its host and a digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

Kind = Literal["json", "slack", "discord"]
KINDS = get_args(Kind)
MOST_CHARACTERS = 1900  # Discord takes 2,000


@dataclass(frozen=True)
class Hook:
    kind: Kind
    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def key(self) -> str:
        """What the records call it."""
        return hashlib.sha256(f"{self.kind} {self.url}".encode()).hexdigest()[:16]


def parse(text: str) -> list[Hook]:
    """Raises ValueError with a sentence that names the mistake, never the whole URL."""
    found = []
    for number, one in enumerate(text.split(), 1):
        kind, equals, url = one.partition("=")
        if not equals or kind not in KINDS:
            raise ValueError(f"webhook {number} must be KIND=URL, with a kind of {', '.join(KINDS)}")
        try:
            parts = urlsplit(url)
            is_whole = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_whole = False
        if not is_whole or not url.isascii() or not url.isprintable():
            raise ValueError(f"webhook {number} ({kind}) has no address that begins with https:// or http://")
        found.append(Hook(cast(Kind, kind), url))
    return found


def body(kind: Kind, told: Mapping[str, Any], link: str) -> bytes:
    """JSON in the shape that the other side reads. `told`: runs.brief of a run that ended, or nothing for a test."""
    if kind == "json":
        said = {"event": "run_ended" if told else "test", "run": dict(told) or None, "url": link or None}
        return json.dumps(said).encode()
    text = _sentence(told)[:MOST_CHARACTERS]
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
