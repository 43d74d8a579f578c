"""HTML: who is told when runs end, and what was delivered (`/notices`). Must not know how anything is sent."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from app.errors import NotFound
from app.web.deps import Here
from app.web.templates import page
from app.webhooks import deliveries

router = APIRouter(include_in_schema=False)


@router.get("/notices")
def show_notices(request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        return page(request, "notices.html", {"hooks": here.settings.hooks, "log": deliveries.log(session)})


@router.post("/notices/test")
def press_test(here: Here, hook: Annotated[str, Form(max_length=16)]) -> RedirectResponse:
    """Queue a test; the courier takes it along within some seconds."""
    found = [one for one in here.settings.hooks if one.key == hook]
    if not found:
        raise NotFound("there is no such webhook: the administrator names them in PITWALL_WEBHOOKS")
    with here.records.write() as session:
        deliveries.note_test(session, found[0], here.now())
    return RedirectResponse("/notices", 303)
