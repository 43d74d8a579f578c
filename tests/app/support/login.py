"""The login of the tests: its token, what is open without it, and the records behind a guarded app."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from app.application import create_app
from app.timing import DEFAULT_TIMING, Timing
from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import State
from tests.app.support.cast import HERE, settings_in, state_of

TOKEN = "a-login-token-of-this-test"
WITHOUT_LOGIN = {"/login", "/healthz", "/readyz", "/static/favicon.svg", "/static/app.1.css", PLOTLY}


@contextmanager
def guarded_in(folder: Path, timing: Timing = DEFAULT_TIMING) -> Iterator[TestClient]:
    """An app that listens beyond loopback, so that a login is needed."""
    state = state_of(settings_in(folder, host="0.0.0.0", token=TOKEN), timing)
    with TestClient(create_app(state), base_url=HERE, follow_redirects=False) as made:
        yield made
    state.records.close()


def state_behind(client: TestClient) -> State:
    state: State = client.app.state.pitwall  # type: ignore[attr-defined]
    return state
