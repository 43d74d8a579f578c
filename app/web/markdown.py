"""People's notes as HTML: CommonMark with tables. Must not know where they stand."""

from __future__ import annotations

from markupsafe import Markup


def markdown(text: str) -> Markup:
    """HTML in it is shown as text, links to scripts stay text, and pictures become links: whatever fetched them would
    need a network, and tell others that it is read.
    """
    from markdown_it import MarkdownIt  # most pages have no notes

    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    return Markup(made.render(text))  # noqa: S704  # escaped by the library, html is off
