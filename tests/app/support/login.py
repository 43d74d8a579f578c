"""The login of the tests: its token, what is open without it, and the records behind a guarded app."""

from __future__ import annotations

from fastapi.testclient import TestClient

from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import State

TOKEN = "a-login-token-of-this-test"
WITHOUT_LOGIN = {"/login", "/healthz", "/readyz", "/static/favicon.svg", "/static/app.1.css", PLOTLY}


def state_behind(client: TestClient) -> State:
    state: State = client.app.state.pitwall  # type: ignore[attr-defined]
    return state
