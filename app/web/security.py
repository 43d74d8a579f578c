"""The gate: what every request must pass before any route sees it. Deny by default.

In order: Host name (DNS rebinding), size of the body, origin of unsafe methods (cross-site requests), who asks,
content type. Adds the security headers to every answer. Must not know what the routes do.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Forbidden, Problem, TooLarge, Unauthorized, UnsupportedType
from app.settings import Settings
from app.web.tokens import COOKIE, Tokens

MAX_BODY = 1024 * 1024  # bytes
MAX_PICTURE = 8 * MAX_BODY + 64 * 1024  # with what a form puts around it
# by PUT; these have a limit of their own
FILES = re.compile(r"/api/v1/worker/(runs/\d+/attempts/\d+/artifacts/[^/]+|tasks/\d+/file)")
PICTURES = re.compile(r"(/api/v1)?/runs/\d+/(try|predict)")  # by POST
SAFE = {"GET", "HEAD", "OPTIONS"}
WITHOUT_LOGIN = ("/login", "/healthz", "/readyz")
WORKER = "/api/v1/worker/"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),  # Plotly writes style elements; scripts are ours alone
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send `Origin: null` with our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Answer = Callable[[Scope, Problem], ASGIApp]
TOO_LARGE = "the body is larger than {} KiB"


class Gate:
    """ASGI middleware around the whole app. `answer` makes a page or JSON of a Problem."""

    def __init__(self, app: ASGIApp, settings: Settings, tokens: Tokens, answer: Answer) -> None:
        self._app = app
        self._settings = settings
        self._tokens = tokens
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        app = self._app
        try:
            self._check(scope)
        except Problem as problem:
            app = self._answer(scope, problem)
        limit = _limit(scope)
        limited = receive if limit is None else _limited(receive, limit)
        await app(scope, limited, _with_headers(send, scope["path"]))

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        method, path = scope["method"], scope["path"]
        self._check_host(headers.getlist("host"))
        length = headers.get("content-length", "0")
        limit = _limit(scope)
        if not length.isdecimal() or (limit is not None and int(length) > limit):
            raise TooLarge(TOO_LARGE.format((limit or MAX_BODY) // 1024))
        if method not in SAFE:
            self._check_origin(scope, headers)
        self._check_who(path, headers, scope)
        if method not in SAFE and path.startswith("/api/"):
            content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            has_body = int(length) > 0 or "transfer-encoding" in headers
            if _is_file(scope):
                if content_type != "application/octet-stream":
                    raise UnsupportedType("a file is sent as application/octet-stream")
            elif _is_picture(scope):
                if content_type != "application/octet-stream" and not content_type.startswith("image/"):
                    raise UnsupportedType("a picture is sent as application/octet-stream, or as image/png and the like")
            elif (has_body or content_type) and content_type != "application/json":
                raise UnsupportedType("the API takes application/json only")

    def _check_host(self, hosts: list[str]) -> None:
        if len(hosts) != 1:
            raise Problem("a request names exactly one Host")
        name = hosts[0].rsplit(":", 1)[0] if not hosts[0].endswith("]") else hosts[0]
        if name.lower() not in self._settings.hosts:
            raise Forbidden(f"the host name {name[:100]!r} is not known here: add it to PITWALL_ALLOWED_HOSTS")

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is not None and origin != f"{scope['scheme']}://{headers['host']}":
            raise Forbidden("this request comes from another site")

    def _check_who(self, path: str, headers: Headers, scope: Scope) -> None:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        bearer = bearer.strip() if scheme.lower() == "bearer" else ""
        if path.startswith(WORKER):
            if not self._tokens.is_worker(bearer):
                raise Unauthorized("workers show the worker token (the file worker-token in the data folder)")
            return
        if not self._tokens.login or path in WITHOUT_LOGIN or path.startswith("/static/"):
            return
        if self._tokens.is_login(bearer) or self._tokens.is_session(_cookie(headers)):
            return
        raise Unauthorized("log in, or send `Authorization: Bearer <token>`")


def login_url(scope: Scope) -> str:
    """Where a page sends somebody who is not logged in; they come back to the page that they wanted."""
    return "/login?next=" + quote(
        scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
    )


def local_path(target: str) -> str:
    """`target` if it is a path of this site, else the front page: a login must not send anybody elsewhere."""
    try:
        parts = urlsplit(target)
    except ValueError:  # a bracket that is not closed
        return "/"
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return target if is_ours else "/"


def _is_file(scope: Scope) -> bool:
    return scope["method"] == "PUT" and FILES.fullmatch(scope["path"]) is not None


def _is_picture(scope: Scope) -> bool:
    return scope["method"] == "POST" and PICTURES.fullmatch(scope["path"]) is not None


def _limit(scope: Scope) -> int | None:
    """Bytes of a body; None: whoever receives it has a limit of its own."""
    return None if _is_file(scope) else MAX_PICTURE if _is_picture(scope) else MAX_BODY


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _limited(receive: Receive, limit: int) -> Receive:
    """Count what really arrives: a chunked body has no length to check beforehand."""
    arrived = 0

    async def counted() -> Message:
        nonlocal arrived
        message = await receive()
        arrived += len(message.get("body", b""))
        if arrived > limit:
            raise HTTPException(TooLarge.status, TOO_LARGE.format(limit // 1024))
        return message

    return counted


def _with_headers(send: Send, path: str) -> Callable[[Message], Awaitable[None]]:
    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            # static files are asked for again, by their ETag: modules import each other without a version in the name
            headers.setdefault("Cache-Control", "no-cache" if path.startswith("/static/") else "no-store")
        await send(message)

    return adding
