"""Exception handlers: a Problem becomes problem+json (RFC 9457) for scripts, or a page for people."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from app.errors import InvalidRequest, NotFound, Problem, Unauthorized
from app.records import disk
from app.web import templates
from app.web.security import HEADERS, login_url

logger = logging.getLogger(__name__)


def render_problem(request: Request, problem: Problem) -> Response:
    """JSON under /api, a page elsewhere; a page that needs a login redirects to it."""
    response = _render(request, problem)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    return response


def _render(request: Request, problem: Problem) -> Response:
    if request.url.path.startswith("/api/") or request.url.path in {"/healthz", "/readyz", "/metrics"}:
        return _json(problem)
    if isinstance(problem, Unauthorized) and request.method in {"GET", "HEAD"}:
        return RedirectResponse(login_url(request.scope), status_code=303)
    return templates.page(request, "error.html", {"problem": problem}, status=problem.status)


async def handle_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return render_problem(request, error)


async def handle_validation_error(request: Request, error: Exception) -> Response:
    """Broken JSON is 400, an invalid id in the path is 404, other errors of FastAPI are 422."""
    assert isinstance(error, RequestValidationError)
    details = error.errors()
    if any(one["type"] == "json_invalid" for one in details):
        return render_problem(request, Problem("the body is not valid JSON"))
    if any(one["loc"][0] == "path" for one in details):
        return render_problem(request, NotFound(f"there is nothing at {request.url.path[:200]}"))
    return render_problem(request, InvalidRequest([(_field(one["loc"]), _sentence(one)) for one in details]))


async def handle_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = Problem(str(error.detail))
    problem.status, problem.title = error.status_code, HTTPStatus(error.status_code).phrase
    if error.status_code == HTTPStatus.NOT_FOUND:
        problem = NotFound(f"there is nothing at {request.url.path[:200]}")
    response = render_problem(request, problem)
    response.headers.update(error.headers or {})
    return response


async def handle_os_error(request: Request, error: Exception) -> Response:
    """A full or failing disk; any other OSError is a bug."""
    assert isinstance(error, OSError)
    problem = disk.explain_disk_error(error, request.app.state.pitwall.settings.data_dir)
    if problem is None:
        raise error
    return render_problem(request, problem)


async def handle_disconnect(request: Request, error: Exception) -> Response:
    """The client disconnected while sending its body, as a killed worker does. No one reads this response."""
    logger.info("%s %s: the client disconnected while sending its body", request.method, request.url.path)
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def handle_unexpected_error(request: Request, error: Exception) -> Response:
    """A bug: uvicorn logs the traceback, the response names the exception."""
    problem = Problem(f"Pitwall made a mistake ({type(error).__name__}); the traceback is in its log")
    problem.status, problem.title = 500, "Internal error"
    response = render_problem(request, problem)
    response.headers.update(HEADERS)  # Starlette handles bugs outside the gate
    return response


def list_mistakes(error: ValidationError) -> list[tuple[str, str]]:
    """The errors of a body as (field, sentence)."""
    return [(".".join(map(str, one["loc"])), _sentence(dict(one))) for one in error.errors()]


def _json(problem: Problem) -> Response:
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "field": problem.mistakes[0][0] if problem.mistakes else None,
        "errors": [{"field": field, "message": sentence} for field, sentence in problem.mistakes],
    }
    # json.dumps escapes all but ASCII: broken input cannot break the response
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(problem, Unauthorized) else {}
    return Response(json.dumps(content), problem.status, headers, media_type="application/problem+json")


def _field(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in loc[1:]) or "body"


def _sentence(error: dict[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such field"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    message = str(error["msg"])
    return message[:1].lower() + message[1:]
