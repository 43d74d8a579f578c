"""The text of a page, as a reader sees it."""

from __future__ import annotations

import html
import re


def words(page: str) -> str:
    """Without tags, and with single spaces; none before punctuation and within brackets."""
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    return re.sub(r"(?<=\() | (?=[,.;:)])", "", text)
