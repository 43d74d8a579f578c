"""Fixtures of the app's tests beside a plain app: one that asks for a login, one on a real port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient

from tests.app.support.cast import Site, site_in
from tests.app.support.login import guarded_in


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[TestClient]:
    with guarded_in(tmp_path) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path / "app") as made:
        yield made


@pytest.fixture
def http(site: Site) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=site.url, timeout=20) as made:
        yield made
