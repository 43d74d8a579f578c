"""The report, made from what a comparison shows and downloaded. Must not know SQL or what is in it."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Form, Response

from app.compare import comparison, document
from app.compare.api import numbers, words
from app.errors import InvalidRequest
from app.runs.schemas import Name
from app.web.deps import Here

router = APIRouter(include_in_schema=False)
Names = Annotated[list[str], Form(max_length=comparison.MOST)]


@router.post("/reports")
def make_report(
    here: Here,
    title: Annotated[Name, Form()] = "",
    notes: Annotated[str, Form(max_length=100_000)] = "",
    runs: Names = [],  # noqa: B006
    groups: Names = [],  # noqa: B006
) -> Response:
    """Always a download: its own script must not run in Pitwall's place."""
    run_ids, names = numbers(runs), words(groups)
    if not run_ids and not names:
        raise InvalidRequest([("runs", "choose at least one run or group")])
    with here.records.read() as session:
        found = comparison.compare(session, run_ids, names)
        text = document.html(found, document.Words(title or "Report", notes), here.now())
    name = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-").lower() or "report"
    headers = {"Content-Disposition": f'attachment; filename="{name[:80]}.html"'}
    return Response(text, media_type="text/html; charset=utf-8", headers=headers)
