"""Serve static/css as one sheet: app.css with what it imports in its place. One request instead of ten, and an address
that changes with any of the files. Must not know what is styled.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response

from app.web.plotly_js import FOR_EVER

FOLDER = Path(__file__).parents[2] / "static" / "css"
IMPORT = re.compile(r'@import url\("([\w.-]+)"\) layer\((\w+)\);')

router = APIRouter(include_in_schema=False)


@router.get("/static/app.{version}.css")
def get_stylesheet(version: str) -> Response:
    """Whatever the version: an older page must not stand there naked."""
    return Response(sheet(), headers={"Cache-Control": FOR_EVER}, media_type="text/css")


@cache
def address() -> str:
    return f"/static/app.{hashlib.sha256(sheet().encode()).hexdigest()[:12]}.css"


@cache
def sheet() -> str:
    whole = (FOLDER / "app.css").read_text(encoding="utf-8")
    return IMPORT.sub(lambda found: f"@layer {found[2]} {{\n{(FOLDER / found[1]).read_text(encoding='utf-8')}}}", whole)
