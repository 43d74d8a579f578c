"""The page of components, and the choice between light and dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.web.labels import STATUSES
from app.web.style_guide import TOKENS

CSS = Path(__file__).parents[3] / "static" / "css"


def test_it_shows_every_status_and_every_colour(client: TestClient):
    page = client.get("/style").text
    for status, word in STATUSES.items():
        assert re.search(rf'data-status="{status}"><span class="mark" aria-hidden="true"></span>{word}', page)
    shown = {name for names in TOKENS.values() for name in names}
    colours = set(re.findall(r"--([\w-]+): (?:light-dark|var)\(", (CSS / "tokens.css").read_text()))
    assert colours - shown == {"accent-ground"}, "every colour but the one of the primary button, which is there itself"


def test_dark_is_remembered_and_system_forgets_it(client: TestClient):
    assert "data-theme" not in client.get("/style").text
    answer = client.post("/theme", data={"theme": "dark", "back": "/board?metric=accuracy"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/board?metric=accuracy")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert '<html lang="en" data-theme="dark">' in client.get("/board").text
    client.post("/theme", data={"theme": "system", "back": "/"})
    assert "data-theme" not in client.get("/board").text


@pytest.mark.parametrize("back", ["//elsewhere.example", "https://elsewhere.example/", "/\\elsewhere.example", "x"])
def test_nobody_is_sent_elsewhere(client: TestClient, back: str):
    assert client.post("/theme", data={"theme": "light", "back": back}).headers["location"] == "/"


def test_a_theme_that_is_none_is_refused_and_a_strange_cookie_is_none(client: TestClient):
    assert client.post("/theme", data={"theme": "<b>"}).status_code == 422
    page = client.get("/style", headers={"Cookie": 'pitwall_theme="><script>'}).text
    assert "data-theme" not in page
