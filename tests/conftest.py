"""A real app over a real SQLite file in the folder of the test. What works with it: tests/app/support/cast.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import settings as hypothesis_settings

from app.application import create_app
from app.settings import Settings
from app.web.deps import State
from tests.app.support.cast import HERE, settings_in, state_of

hypothesis_settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of what is tested
hypothesis_settings.load_profile("untimed")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def state(settings: Settings) -> Iterator[State]:
    made = state_of(settings)
    yield made
    made.records.close()


@pytest.fixture
def app(state: State) -> FastAPI:
    return create_app(state)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=HERE, follow_redirects=False) as made:
        yield made
