"""The gate: every request passes it before any route. Denies by default.

Checks, in order: Host name (DNS rebinding), size of the body, origin of unsafe methods (cross-site requests), token or
session, content type. Adds the security headers to every response.
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

MAX_BODY_BYTES = 1024 * 1024  # bytes
MAX_IMAGE_BYTES = 8 * MAX_BODY_BYTES + 64 * 1024  # 8 MiB and the multipart form around it
# PUT; these routes have limits of their own
FILE_PATHS = re.compile(r"/api/v1/worker/(runs/\d+/attempts/\d+/artifacts/[^/]+|tasks/\d+/file)")
IMAGE_PATHS = re.compile(r"(/api/v1)?/runs/\d+/(try|predict)")  # POST
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

RenderProblem = Callable[[Scope, Problem], ASGIApp]
TOO_LARGE = "the body is larger than {} KiB"


class Gate:
    """ASGI middleware around the whole app. `render_problem` turns a Problem into a page or JSON."""

    def __init__(self, app: ASGIApp, settings: Settings, tokens: Tokens, render_problem: RenderProblem) -> None:
        self._app = app
        self._settings = settings
        self._tokens = tokens
        self._render_problem = render_problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        app = self._app
        try:
            self._check(scope)
        except Problem as problem:
            app = self._render_problem(scope, problem)
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
            raise TooLarge(TOO_LARGE.format((limit or MAX_BODY_BYTES) // 1024))
        if method not in SAFE:
            self._check_origin(scope, headers)
        self._check_token(path, headers, scope)
        if method not in SAFE and path.startswith("/api/"):
            content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            has_body = int(length) > 0 or "transfer-encoding" in headers
            if _is_file_upload(scope):
                if content_type != "application/octet-stream":
                    raise UnsupportedType("a file must be sent as application/octet-stream")
            elif _is_image_upload(scope):
                if content_type != "application/octet-stream" and not content_type.startswith("image/"):
                    raise UnsupportedType(
                        "an image must be sent as application/octet-stream, or as image/png or similar"
                    )
            elif (has_body or content_type) and content_type != "application/json":
                raise UnsupportedType("the API accepts application/json only")

    def _check_host(self, hosts: list[str]) -> None:
        if len(hosts) != 1:
            raise Problem("a request must name exactly one Host")
        name = hosts[0].rsplit(":", 1)[0] if not hosts[0].endswith("]") else hosts[0]
        if name.lower() not in self._settings.hosts:
            raise Forbidden(f"the host name {name[:100]!r} is not known here: add it to PITWALL_ALLOWED_HOSTS")

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is not None and origin != f"{scope['scheme']}://{headers['host']}":
            raise Forbidden("this request comes from another site")

    def _check_token(self, path: str, headers: Headers, scope: Scope) -> None:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        bearer = bearer.strip() if scheme.lower() == "bearer" else ""
        if path.startswith(WORKER):
            if not self._tokens.is_worker(bearer):
                raise Unauthorized("workers must send the worker token (the file worker-token in the data folder)")
            return
        if not self._tokens.login or path in WITHOUT_LOGIN or path.startswith("/static/"):
            return
        if self._tokens.is_login(bearer) or self._tokens.is_session(_cookie(headers)):
            return
        raise Unauthorized("log in, or send `Authorization: Bearer <token>`")


def login_url(scope: Scope) -> str:
    """The login page, which leads back to the requested page."""
    return "/login?next=" + quote(
        scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
    )


def local_path(target: str) -> str:
    """`target` if it is a path of this site, else the home page: no redirects to other sites."""
    try:
        parts = urlsplit(target)
    except ValueError:  # an unclosed bracket
        return "/"
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return target if is_ours else "/"


def _is_file_upload(scope: Scope) -> bool:
    return scope["method"] == "PUT" and FILE_PATHS.fullmatch(scope["path"]) is not None


def _is_image_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and IMAGE_PATHS.fullmatch(scope["path"]) is not None


def _limit(scope: Scope) -> int | None:
    """Bytes of a body; None: the route has a limit of its own."""
    return None if _is_file_upload(scope) else MAX_IMAGE_BYTES if _is_image_upload(scope) else MAX_BODY_BYTES


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _limited(receive: Receive, limit: int) -> Receive:
    """Counts the bytes that arrive: a chunked body has no Content-Length."""
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
            # static files are revalidated by their ETag: modules import each other without a version in the name
            headers.setdefault("Cache-Control", "no-cache" if path.startswith("/static/") else "no-store")
        await send(message)

    return adding
