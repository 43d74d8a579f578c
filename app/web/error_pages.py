"""From a Problem to an answer: problem+json for scripts (RFC 9457), a page for people. One place for both.

Must not know what went wrong where: the Problem says it.
"""

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


def render(request: Request, problem: Problem) -> Response:
    """JSON under /api, a page elsewhere; a page that needs a login sends its reader there."""
    answer = _rendered(request, problem)
    if problem.retry_after_s is not None:
        answer.headers["Retry-After"] = str(problem.retry_after_s)
    return answer


def _rendered(request: Request, problem: Problem) -> Response:
    if request.url.path.startswith("/api/") or request.url.path in {"/healthz", "/readyz", "/metrics"}:
        return _json(problem)
    if isinstance(problem, Unauthorized) and request.method in {"GET", "HEAD"}:
        return RedirectResponse(login_url(request.scope), status_code=303)
    return templates.page(request, "error.html", {"problem": problem}, status=problem.status)


async def of_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return render(request, error)


async def of_validation(request: Request, error: Exception) -> Response:
    """FastAPI's own findings, in our words: broken JSON is 400, an id that is none is 404, the rest 422."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return render(request, Problem("the body is not valid JSON"))
    if any(one["loc"][0] == "path" for one in found):
        return render(request, NotFound(f"there is nothing at {request.url.path[:200]}"))
    return render(request, InvalidRequest([(_field(one["loc"]), _sentence(one)) for one in found]))


async def of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = Problem(str(error.detail))
    problem.status, problem.title = error.status_code, HTTPStatus(error.status_code).phrase
    if error.status_code == HTTPStatus.NOT_FOUND:
        problem = NotFound(f"there is nothing at {request.url.path[:200]}")
    answer = render(request, problem)
    answer.headers.update(error.headers or {})
    return answer


async def of_disk(request: Request, error: Exception) -> Response:
    """A full or failing disk, wherever a file was written; any other OSError is our own mistake."""
    assert isinstance(error, OSError)
    trouble = disk.explain_disk_error(error, request.app.state.pitwall.settings.data_dir)
    if trouble is None:
        raise error
    return render(request, trouble)


async def of_hangup(request: Request, error: Exception) -> Response:
    """The client went away in the middle of its body, as a worker does that is killed: nobody is there to answer."""
    logger.info("%s %s was cut by who sent it", request.method, request.url.path)
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def of_bug(request: Request, error: Exception) -> Response:
    """Our own mistake: the traceback is in the log (uvicorn writes it), the name is in the answer."""
    problem = Problem(f"Pitwall made a mistake ({type(error).__name__}); the traceback is in its log")
    problem.status, problem.title = 500, "Our mistake"
    answer = render(request, problem)
    answer.headers.update(HEADERS)  # Starlette answers bugs outside the gate
    return answer


def mistakes_of(error: ValidationError) -> list[tuple[str, str]]:
    """pydantic's findings about a body as (field, sentence)."""
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
    # json.dumps escapes all but ASCII: what came in broken cannot break the answer
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(problem, Unauthorized) else {}
    return Response(json.dumps(content), problem.status, headers, media_type="application/problem+json")


def _field(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in loc[1:]) or "body"


def _sentence(found: dict[str, Any]) -> str:
    if found["type"] == "extra_forbidden":
        return "there is no such field"
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    message = str(found["msg"])
    return message[:1].lower() + message[1:]
