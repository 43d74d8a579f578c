"""The gate: which hosts and origins reach a route at all, and what every answer carries."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.application import create_app
from app.web.deps import State
from app.web.security import HEADERS
from tests.app.support.cast import HERE, bearer, launch, settings_in, state_of
from tests.app.support.every_route import everything

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


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
