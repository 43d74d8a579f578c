"""The two tokens: when a login is needed, whose token opens what, and their files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.errors import Refusal
from app.web.deps import State
from app.web.tokens import Tokens, load_or_create
from tests.app.support.cast import bearer, settings_in
from tests.app.support.every_route import everything
from tests.app.support.login import TOKEN, WITHOUT_LOGIN, state_behind


def test_listening_beyond_loopback_without_a_token_is_refused(tmp_path: Path):
    for host in ("0.0.0.0", "::", "192.168.1.5", "pitwall.example"):
        with pytest.raises(Refusal) as refusal:
            Tokens.load(settings_in(tmp_path, host=host))

        assert "python -m app token" in str(refusal.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_on_loopback_no_login_is_asked_for(tmp_path: Path, host: str):
    assert Tokens.load(settings_in(tmp_path, host=host, token=TOKEN)).login == ""


def test_the_token_that_was_made_in_the_data_folder_is_the_login(tmp_path: Path):
    token = load_or_create(tmp_path / "login-token")

    tokens = Tokens.load(settings_in(tmp_path, host="0.0.0.0"))

    assert tokens.is_login(token)
    assert load_or_create(tmp_path / "login-token") == token
    assert len(token) >= 43  # 256 bits


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
    load_or_create(settings.login_token_file)
    for file in (settings.worker_token_file, settings.login_token_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    assert settings.worker_token_file.read_text().strip() == state.tokens.worker


@pytest.mark.parametrize("content", ["", "\n", "  \n"])
def test_an_empty_token_file_opens_nothing(tmp_path: Path, content: str):
    (tmp_path / "worker-token").write_text(content)
    try:
        tokens = Tokens.load(settings_in(tmp_path))
    except Refusal:
        return

    assert tokens.worker
    assert not tokens.is_worker("")
