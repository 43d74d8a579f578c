"""Serve the plotly.js that the plotly package brings: the same version as the Python side, nothing to vendor.

Must not know what is drawn.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.metadata import version
from pathlib import Path

import plotly
from fastapi import APIRouter, Request, Response

ADDRESS = f"/static/vendor/plotly-{version('plotly')}.min.js"
FOR_EVER = "public, max-age=31536000, immutable"  # the version is in the name

router = APIRouter(include_in_schema=False)


@router.get(ADDRESS)
def get_plotly(request: Request) -> Response:
    headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(_source().read_bytes(), headers=headers, media_type="text/javascript")
    return Response(_packed(), headers=headers | {"Content-Encoding": "gzip"}, media_type="text/javascript")


@cache
def _packed() -> bytes:
    """About 1.5 MB, packed once: a third of the source."""
    return gzip.compress(_source().read_bytes(), 6)


def source() -> str:
    """The whole of it, for a page that must stand alone."""
    return _source().read_text(encoding="utf-8")


def _source() -> Path:
    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
