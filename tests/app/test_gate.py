"""The gate: which requests reach a route at all. Every route is walked, so that a new one is covered by itself."""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.plotly_js import ADDRESS as PLOTLY
from app.problems import Refusal
from app.security import HEADERS, local_path
from app.state import State
from app.tokens import COOKIE, SESSION_S, Tokens, made
from app.web import create_app
from tests.app.cast import HERE, bearer, launch, settings_in, state_of

TOKEN = "a-login-token-of-this-test"
WITHOUT_LOGIN = {"/login", "/healthz", "/readyz", "/static/favicon.svg", PLOTLY}
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


def walked(routes: Any) -> Iterator[tuple[str, str]]:
    """(method, address) of everything that the app answers, its parameters filled in."""
    for route in routes:
        if (inner := getattr(route, "original_router", None)) is not None:
            yield from walked(inner.routes)
        elif not hasattr(route, "methods"):  # a mount
            yield "GET", f"{route.path}/favicon.svg"
        else:
            for method in sorted(route.methods):
                yield method, re.sub(r"\{\w+(:\w+)?\}", "1", route.path)


def everything(app: FastAPI) -> list[tuple[str, str]]:
    found = list(walked(app.routes))
    assert len(found) > 30
    assert ("POST", "/api/v1/runs") in found
    assert ("GET", "/static/favicon.svg") in found
    assert ("POST", "/api/v1/worker/claim") in found
    return found


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[TestClient]:
    """An app that listens beyond loopback, so that a login is needed."""
    state = state_of(settings_in(tmp_path, host="0.0.0.0", token=TOKEN))
    with TestClient(create_app(state), base_url=HERE, follow_redirects=False) as made:
        yield made
    state.records.close()


def state_behind(client: TestClient) -> State:
    state: State = client.app.state.pitwall  # type: ignore[attr-defined]
    return state


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1@evil.example",
        "user:secret@127.0.0.1:8000",
        "192.168.7.7",
        "10.0.0.1:8000",
        "127.0.0.2",
        "0.0.0.0:8000",
        "[::]",
        "::1",
        "[::1",
        "localhost.",
        "127.1",
        "2130706433",
        "127.0.0.1:8000:9000",
        "",
        ":8000",
        " ",
    ],
)
def test_a_host_that_is_not_our_own_is_refused(client: TestClient, host: str):
    assert client.get("/api/v1/runs", headers={"Host": host}).status_code == 403


def test_every_route_refuses_a_foreign_host(client: TestClient, app: FastAPI):
    for method, address in everything(app):
        answer = client.request(method, address, headers={"Host": "evil.example"})

        assert answer.status_code == 403, (method, address)


def test_a_request_with_two_hosts_or_none_is_refused(client: TestClient, app: FastAPI):
    own = ("Host", "127.0.0.1:8000")
    for method, address in everything(app):
        twice = client.request(method, address, headers=[own, own])
        other = client.request(method, address, headers=[own, ("Host", "evil.example")])

        assert (twice.status_code, other.status_code) == (400, 400), (method, address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "LOCALHOST:65535", "[::1]", "[::1]:4711", "127.0.0.1:9"])
def test_the_machine_s_own_names_are_let_through_at_any_port(client: TestClient, host: str):
    assert client.get("/api/v1/runs", headers={"Host": host}).status_code == 200


def test_a_further_host_is_let_through_where_it_is_allowed(tmp_path: Path):
    state = state_of(settings_in(tmp_path, allowed_hosts="web, Pitwall.Example"))
    with TestClient(create_app(state), base_url=HERE) as client:
        allowed = [client.get("/healthz", headers={"Host": host}).status_code for host in ("web:80", "pitwall.example")]
        refused = client.get("/healthz", headers={"Host": "other.example"})

    state.records.close()
    assert allowed == [200, 200]
    assert refused.status_code == 403
    assert "PITWALL_ALLOWED_HOSTS" in refused.json()["detail"]


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:9999",
        "https://127.0.0.1:8000",
        "http://localhost:8000",
        "http://127.0.0.1:8000.evil.example",
        "http://127.0.0.1:8000/",
        "HTTP://127.0.0.1:8000",
        "http://user@127.0.0.1:8000",
    ],
)
def test_a_foreign_origin_is_refused_for_what_changes_something(client: TestClient, origin: str):
    assert client.post("/api/v1/runs", json={}, headers={"Origin": origin}).status_code == 403
    assert client.post("/runs", data={}, headers={"Origin": origin}).status_code == 403
    assert client.get("/api/v1/runs", headers={"Origin": origin}).json()["runs"] == []


def test_every_unsafe_route_refuses_a_foreign_origin(client: TestClient, app: FastAPI, state: State):
    kept = launch(state)
    cases = [(method, address) for method, address in everything(app) if method in UNSAFE]

    for method, address in cases:
        headers = {"Origin": "http://evil.example"} | bearer(state.tokens.worker)
        assert client.request(method, address, headers=headers).status_code == 403, (method, address)

    assert len(cases) > 10
    assert client.get(f"/api/v1/runs/{kept}").json()["status"] == "queued"
    assert len(client.get("/api/v1/runs").json()["runs"]) == 1


def test_the_own_origin_and_none_are_let_through(client: TestClient):
    own = client.post("/api/v1/runs", json={}, headers={"Origin": HERE})
    tunnel = {"Origin": "http://localhost:4711", "Host": "localhost:4711"}

    assert own.status_code == 201
    assert client.post("/api/v1/runs", json={}, headers=tunnel).status_code == 201
    assert client.post("/api/v1/runs", json={}).status_code == 201


def test_no_get_changes_anything(client: TestClient, app: FastAPI, state: State):
    launch(state)
    before = client.get("/api/v1/runs").json()
    cases = [address for method, address in everything(app) if method == "GET" and not address.endswith("/events")]

    for address in cases:
        assert client.get(address).status_code < 500

    assert len(cases) > 15
    assert client.get("/api/v1/runs").json() == before


def test_every_answer_carries_the_security_headers_and_no_cors(client: TestClient, app: FastAPI):
    asked = [(m, a) for m, a in everything(app) if not a.endswith("/events")]
    answers = [client.request(method, address, headers={"Origin": HERE}) for method, address in asked]
    answers += [
        client.get("/nowhere"),
        client.get("/api/v1/nowhere"),
        client.get("/", headers={"Host": "evil.example"}),
        client.post("/api/v1/runs", json={"epochs": 1}),
        client.post("/api/v1/runs", content=b"x" * 2_000_000),
        client.post("/api/v1/runs", content=iter([b"x" * 1_000_000] * 2), headers={"Content-Type": "application/json"}),
        client.request("OPTIONS", "/api/v1/runs", headers={"Origin": "http://evil.example"}),
        client.put("/api/v1/runs"),
    ]

    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, answer.request.url
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_even_our_own_mistakes_carry_the_security_headers(state: State):
    app = create_app(state)

    @app.get("/api/v1/mistake")
    def mistake() -> None:
        raise RuntimeError("a mistake of ours")

    with TestClient(app, base_url=HERE, raise_server_exceptions=False) as client:
        answer = client.get("/api/v1/mistake")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_scripts_come_from_this_site_only_and_never_from_a_string():
    policy = HEADERS["Content-Security-Policy"]

    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy
    assert policy.count("unsafe-inline") == 1  # styles
    assert "frame-ancestors 'none'" in policy


def test_answers_are_not_stored_by_browsers_but_static_files_are(client: TestClient):
    assert client.get("/").headers["cache-control"] == "no-store"
    assert client.get("/api/v1/runs").headers["cache-control"] == "no-store"
    assert "no-store" not in client.get("/static/favicon.svg").headers.get("cache-control", "")


# login


def test_with_login_on_every_route_asks_for_it(guarded: TestClient):
    closed = [(m, a) for m, a in everything(guarded.app) if a not in WITHOUT_LOGIN]  # type: ignore[arg-type]
    for method, address in closed:
        answer = guarded.request(method, address)

        if address.startswith("/api/") or address == "/metrics" or method not in {"GET", "HEAD"}:
            assert answer.status_code == 401, (method, address)
        else:
            assert answer.status_code == 303, (method, address)
            assert answer.headers["location"].startswith("/login?next=/")
    assert len(closed) > 25


def test_with_login_on_the_few_open_addresses_stay_open(guarded: TestClient):
    assert {address: guarded.get(address).status_code for address in WITHOUT_LOGIN} == dict.fromkeys(WITHOUT_LOGIN, 200)


@pytest.mark.parametrize(
    "address",
    [
        "/static/../api/v1/runs",
        "/static/%2e%2e/api/v1/runs",
        "/login/../api/v1/runs",
        "//static/x",
        "/LOGIN",
        "/login/",
    ],
)
def test_an_open_address_is_no_way_to_a_closed_one(guarded: TestClient, address: str):
    launch(state_behind(guarded), name="a secret")

    answer = guarded.get(address)

    assert answer.status_code in {303, 307, 401, 404}
    assert "a secret" not in answer.text


def test_a_bearer_token_opens(guarded: TestClient):
    assert guarded.get("/api/v1/runs", headers=bearer(TOKEN)).status_code == 200
    assert guarded.get("/", headers={"Authorization": f"bearer  {TOKEN} "}).status_code == 200


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"])
def test_another_authorization_does_not_open(guarded: TestClient, value: str):
    headers = {b"Authorization": value.encode("latin-1")}
    assert guarded.get("/api/v1/runs", headers=headers).status_code == 401


def test_a_token_in_the_address_does_not_open(guarded: TestClient):
    for name in ("token", "access_token", "authorization", COOKIE):
        assert guarded.get("/api/v1/runs", params={name: TOKEN}).status_code == 401


def test_logging_in_gives_a_cookie_that_opens_and_logging_out_takes_it(guarded: TestClient):
    answer = guarded.post("/login", data={"token": f" {TOKEN}\n", "next": "/runs?q=x"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?q=x")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert re.search("samesite=(lax|strict)", cookie, re.IGNORECASE)
    assert "Path=/" in cookie
    assert TOKEN not in cookie
    assert guarded.get("/runs").status_code == 200
    assert "Log out" in guarded.get("/runs").text

    guarded.post("/logout")

    assert guarded.get("/runs").status_code == 303


def test_the_cookie_is_sent_over_https_only_where_there_is_https(tmp_path: Path):
    state = state_of(settings_in(tmp_path, host="0.0.0.0", token=TOKEN))
    with TestClient(create_app(state), base_url="https://localhost", follow_redirects=False) as client:
        answer = client.post("/login", data={"token": TOKEN})

    state.records.close()
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\ud83d\ude00"])
def test_a_wrong_token_does_not_log_in(guarded: TestClient, monkeypatch: pytest.MonkeyPatch, token: str):
    monkeypatch.setattr("app.launch_pages.WRONG_TOKEN_S", 0.0)
    answer = guarded.post("/login", data={"token": token.encode("utf-16", "surrogatepass").decode("utf-16")})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "That is not the token" in answer.text
    assert guarded.get("/runs").status_code == 303


def test_a_wrong_token_waits(guarded: TestClient):
    began = time.monotonic()
    guarded.post("/login", data={"token": "wrong"})

    assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https://evil.example", "evil.example", "///x",
    "javascript:alert(1)", "/\t/evil.example", "\\\\evil.example", "", "http:/evil.example", "//[", "http://[x",
    "/\n/evil.example", " //evil.example"])  # fmt: skip
def test_a_login_never_sends_anybody_to_another_site(guarded: TestClient, target: str):
    answer = guarded.post("/login", data={"token": TOKEN, "next": target})
    shown = guarded.get("/login", params={"next": target})

    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    assert 'name="next" value="/"' in shown.text


@pytest.mark.parametrize("target", ["/", "/runs/7", "/runs?q=a%20b&sort=-id", "/runs#top", "/compare?runs=1,2"])
def test_a_login_comes_back_to_the_page_that_was_wanted(target: str):
    assert local_path(target) == target


def test_a_page_behind_the_login_is_remembered_with_its_question(guarded: TestClient):
    answer = guarded.get("/runs?status=failed&q=a%26b")
    shown = guarded.get(answer.headers["location"])

    assert "/runs?status=failed&amp;q=a%26b" in shown.text


def forged(token: str, ends: float) -> str:
    tokens = Tokens("worker", token)
    return f"{int(ends)}.{tokens._signature(str(int(ends)))}"


def test_only_a_cookie_that_this_login_token_signed_and_that_is_in_date_opens(guarded: TestClient):
    now = time.time()
    cases = {
        forged(TOKEN, now + 60): 200,
        forged("another token", now + 60): 401,
        forged("", now + 60): 401,
        forged(TOKEN, now - 1): 401,
        forged(TOKEN, now + 60).replace(".", "0."): 401,
        f"{int(now) + 60}.": 401,
        f"{int(now) + 60}": 401,
        "": 401,
        ".": 401,
        "٣.x": 401,
        "9" * 5000 + ".x": 401,
    }
    for value, expected in cases.items():
        headers = {b"Cookie": f"{COOKIE}={value}".encode()}
        assert guarded.get("/api/v1/runs", headers=headers).status_code == expected, value[:50]
    assert SESSION_S <= 31 * 24 * 3600


def test_a_cookie_does_not_help_a_foreign_site(guarded: TestClient):
    headers = {"Cookie": f"{COOKIE}={forged(TOKEN, time.time() + 60)}", "Origin": "http://evil.example"}

    assert guarded.post("/api/v1/runs", json={}, headers=headers).status_code == 403
    assert guarded.post("/runs", data={}, headers=headers).status_code == 403


def test_listening_beyond_loopback_without_a_token_is_refused(tmp_path: Path):
    for host in ("0.0.0.0", "::", "192.168.1.5", "pitwall.example"):
        with pytest.raises(Refusal) as refusal:
            Tokens.of(settings_in(tmp_path, host=host))

        assert "python -m app token" in str(refusal.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_on_loopback_no_login_is_asked_for(tmp_path: Path, host: str):
    assert Tokens.of(settings_in(tmp_path, host=host, token=TOKEN)).login == ""


def test_the_token_that_was_made_in_the_data_folder_is_the_login(tmp_path: Path):
    token = made(tmp_path / "login-token")

    tokens = Tokens.of(settings_in(tmp_path, host="0.0.0.0"))

    assert tokens.is_login(token)
    assert made(tmp_path / "login-token") == token
    assert len(token) >= 43  # 256 bits


# workers


def test_the_worker_s_routes_need_the_worker_s_token_even_on_loopback(client: TestClient, app: FastAPI, state: State):
    cases = [(m, a) for m, a in everything(app) if a.startswith("/api/v1/worker/")]
    for method, address in cases:
        assert client.request(method, address).status_code == 401, address
        assert client.request(method, address, headers=bearer("wrong")).status_code == 401, address
        assert client.request(method, address, headers=bearer(state.tokens.worker)).status_code != 401, address
    assert len(cases) >= 4


def test_neither_token_stands_in_for_the_other(guarded: TestClient):
    worker = bearer(state_behind(guarded).tokens.worker)
    everywhere = [(m, a) for m, a in everything(guarded.app) if a not in WITHOUT_LOGIN]  # type: ignore[arg-type]

    for method, address in everywhere:
        if address.startswith("/api/v1/worker/"):
            assert guarded.request(method, address, headers=bearer(TOKEN)).status_code == 401, address
        else:
            assert guarded.request(method, address, headers=worker).status_code in {401, 303}, address


def test_token_files_are_for_their_owner_only(settings, state: State):
    made(settings.login_token_file)
    for file in (settings.worker_token_file, settings.login_token_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    assert settings.worker_token_file.read_text().strip() == state.tokens.worker


@pytest.mark.parametrize("content", ["", "\n", "  \n"])
def test_an_empty_token_file_opens_nothing(tmp_path: Path, content: str):
    (tmp_path / "worker-token").write_text(content)
    try:
        tokens = Tokens.of(settings_in(tmp_path))
    except Refusal:
        return

    assert tokens.worker
    assert not tokens.is_worker("")
