"""The login: what asks for it, what opens, what does not, and where it leads."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.application import create_app
from app.timing import Timing
from app.web.security import local_path
from app.web.tokens import COOKIE, SESSION_S, Tokens
from tests.app.support.cast import bearer, launch, settings_in, state_of
from tests.app.support.every_route import everything
from tests.app.support.login import TOKEN, WITHOUT_LOGIN, guarded_in, state_behind


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
def test_a_wrong_token_does_not_log_in(tmp_path: Path, token: str):
    with guarded_in(tmp_path, Timing(wrong_token_s=0.0)) as guarded:
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
    return f"{int(ends)}.{tokens._sign(str(int(ends)))}"


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
