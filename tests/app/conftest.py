"""Fixtures of the app's tests beside a plain app: one that asks for a login, one on a real port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient

from app.application import create_app
from tests.app.support.cast import HERE, Site, settings_in, site_in, state_of
from tests.app.support.login import TOKEN


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[TestClient]:
    """An app that listens beyond loopback, so that a login is needed."""
    state = state_of(settings_in(tmp_path, host="0.0.0.0", token=TOKEN))
    with TestClient(create_app(state), base_url=HERE, follow_redirects=False) as made:
        yield made
    state.records.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path / "app") as made:
        yield made


@pytest.fixture
def http(site: Site) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=site.url, timeout=20) as made:
        yield made
