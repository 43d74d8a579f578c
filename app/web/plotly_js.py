"""Serve plotly.js: its bundle of lines, bars and pies, a quarter of the whole, which a browser needs seconds to read.

Must not know what is drawn.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

FILE = Path(__file__).parents[2] / "static" / "vendor" / "plotly-basic-4.1.1.min.js"
ADDRESS = f"/static/vendor/{FILE.name}"
FOR_EVER = "public, max-age=31536000, immutable"  # the version is in the name

router = APIRouter(include_in_schema=False)


@router.get(ADDRESS)
def get_plotly(request: Request) -> Response:
    headers = {"Cache-Control": FOR_EVER}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(FILE.read_bytes(), headers=headers, media_type="text/javascript")
    return Response(
        _packed(),
        headers=headers | {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"},
        media_type="text/javascript",
    )


@cache
def _packed() -> bytes:
    """About 0.4 MB, packed once: a third of the source."""
    return gzip.compress(FILE.read_bytes(), 6)


def source() -> str:
    """The whole of it, for a page that must stand alone."""
    return FILE.read_text(encoding="utf-8")
