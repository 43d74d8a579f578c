"""Every route of the app, walked, so that a new one is covered by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI


def walked(routes: Any) -> Iterator[tuple[str, str]]:
    """(method, address) of everything that the app answers, its parameters filled in."""
    for route in routes:
        if (inner := getattr(route, "original_router", None)) is not None:
            yield from walked(inner.routes)
        elif not hasattr(route, "methods"):  # a mount
            yield "GET", f"{route.path}/favicon.svg"
        else:
            for method in sorted(route.methods):
                yield method, re.sub(r"\{\w+(:\w+)?\}", "1", route.path)


def everything(app: FastAPI) -> list[tuple[str, str]]:
    found = list(walked(app.routes))
    assert len(found) > 30
    assert ("POST", "/api/v1/runs") in found
    assert ("GET", "/static/favicon.svg") in found
    assert ("POST", "/api/v1/worker/claim") in found
    return found
