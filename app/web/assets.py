"""Serves what pages load besides modules: the style sheet as one file, and plotly.js.

The style sheet is app.css with what it imports in its place: one request instead of ten, at an address that changes
with any of its files. Plotly's is the bundle of lines, bars and pies: a quarter of the whole, which a browser takes
seconds to read.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

STATIC = Path(__file__).parents[2] / "static"
IMPORT = re.compile(r'@import url\("([\w.-]+)"\) layer\((\w+)\);')
PLOTLY = STATIC / "vendor" / "plotly-basic-4.1.1.min.js"
PLOTLY_ADDRESS = f"/static/vendor/{PLOTLY.name}"
FOR_EVER = "public, max-age=31536000, immutable"  # the version is in the name

router = APIRouter(include_in_schema=False)


@router.get("/static/app.{version}.css")
def get_stylesheet(version: str) -> Response:
    """Whatever the version: a page that was loaded before an update keeps its style."""
    return Response(stylesheet(), headers={"Cache-Control": FOR_EVER}, media_type="text/css")


@router.get(PLOTLY_ADDRESS)
def get_plotly(request: Request) -> Response:
    headers = {"Cache-Control": FOR_EVER}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(PLOTLY.read_bytes(), headers=headers, media_type="text/javascript")
    return Response(
        _compressed_plotly(),
        headers=headers | {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"},
        media_type="text/javascript",
    )


@cache
def stylesheet_address() -> str:
    return f"/static/app.{hashlib.sha256(stylesheet().encode()).hexdigest()[:12]}.css"


@cache
def stylesheet() -> str:
    folder = STATIC / "css"
    whole = (folder / "app.css").read_text(encoding="utf-8")
    return IMPORT.sub(lambda found: f"@layer {found[2]} {{\n{(folder / found[1]).read_text(encoding='utf-8')}}}", whole)


def plotly_source() -> str:
    """The whole of plotly.js, for a page that must stand alone."""
    return PLOTLY.read_text(encoding="utf-8")


@cache
def _compressed_plotly() -> bytes:
    """About 0.4 MB: a third of the source. Compressed once."""
    return gzip.compress(PLOTLY.read_bytes(), 6)
