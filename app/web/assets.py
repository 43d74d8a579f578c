"""Serves the style sheet as one file, and plotly.js.

The style sheet is app.css with its imports inlined and the colours of app/charts/palette.py: one request instead of
ten, at an address that changes with any of these. Plotly is the basic bundle (lines, bars, pies): a quarter of the full
one, which takes a browser seconds to parse.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from app.charts import palette

STATIC = Path(__file__).parents[2] / "static"
IMPORT = re.compile(r'@import url\("([\w.-]+)"\) layer\((\w+)\);')
PLOTLY = STATIC / "vendor" / "plotly-basic-4.1.1.min.js"
PLOTLY_ADDRESS = f"/static/vendor/{PLOTLY.name}"
IMMUTABLE = "public, max-age=31536000, immutable"  # the version is in the name

router = APIRouter(include_in_schema=False)


@router.get("/static/app.{version}.css")
def get_stylesheet(version: str) -> Response:
    """Any version gets the current file: a page that was loaded before an update keeps its style."""
    return Response(stylesheet(), headers={"Cache-Control": IMMUTABLE}, media_type="text/css")


@router.get(PLOTLY_ADDRESS)
def get_plotly(request: Request) -> Response:
    headers = {"Cache-Control": IMMUTABLE}
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
    source = (folder / "app.css").read_text(encoding="utf-8")
    files = IMPORT.sub(
        lambda match: f"@layer {match[2]} {{\n{(folder / match[1]).read_text(encoding='utf-8')}}}", source
    )
    return f"{files}\n@layer tokens {{ {palette.color_tokens()}}}\n"


def plotly_source() -> str:
    """The source of plotly.js, for documents that must work offline."""
    return PLOTLY.read_text(encoding="utf-8")


@cache
def _compressed_plotly() -> bytes:
    """About 0.4 MB, a third of the source. Compressed once."""
    return gzip.compress(PLOTLY.read_bytes(), 6)
