"""HTML page of the webhooks and their deliveries (`/notices`)."""

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
        return page(request, "webhooks/index.html", {"hooks": here.settings.hooks, "log": deliveries.load_log(session)})


@router.post("/notices/test")
def press_test(here: Here, hook: Annotated[str, Form(max_length=16)]) -> RedirectResponse:
    """Queue a test message; it is sent within seconds."""
    matching = [one for one in here.settings.hooks if one.key == hook]
    if not matching:
        raise NotFound("there is no such webhook: the administrator sets them in PITWALL_WEBHOOKS")
    with here.records.write() as session:
        deliveries.enqueue_test(session, matching[0], here.now())
    return RedirectResponse("/notices", 303)
