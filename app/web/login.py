"""Logging in and out. The gate (security.py) decides which requests need a login."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.web.deps import Here
from app.web.security import local_path
from app.web.templates import page
from app.web.tokens import COOKIE, SESSION_S

router = APIRouter(include_in_schema=False)


@router.get("/login")
def show_login(request: Request, target: Annotated[str, Query(alias="next", max_length=2000)] = "/") -> HTMLResponse:
    return page(request, "login.html", {"next": local_path(target), "error": None})


@router.post("/login")
async def log_in(request: Request, here: Here) -> Response:
    form = await request.form(max_fields=10)
    token, target = (str(form.get(name) or default) for name, default in (("token", ""), ("next", "/")))
    if not here.tokens.is_login(token.strip()):
        await asyncio.sleep(here.timing.wrong_token_s)
        context = {"next": local_path(target), "error": "That is not the token."}
        return page(request, "login.html", context, status=403)
    response = RedirectResponse(local_path(target), 303)
    is_secure = request.url.scheme == "https"
    response.set_cookie(
        COOKIE, here.tokens.create_session(), SESSION_S, httponly=True, samesite="lax", secure=is_secure
    )
    return response


@router.post("/logout")
def log_out() -> RedirectResponse:
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response
