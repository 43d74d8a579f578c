"""Every figure that a page holds is one that plotly.js knows, and our bundle of it can draw."""

from __future__ import annotations

import json
import re
from typing import Any

import plotly.graph_objects as go
import pytest
from fastapi.testclient import TestClient
from plotly.offline import get_plotlyjs_version

from app.web import assets
from app.web.deps import State
from tests.app.board.test_ranking import ran

DRAWN = {"scatter", "bar", "pie"}  # by the basic bundle
JSON = re.compile(r'<script type="application/json"[^>]*>(.*?)</script>', re.DOTALL)


def figures(page: str) -> list[dict[str, Any]]:
    found = []
    for text in JSON.findall(page):
        value = json.loads(text)
        found += [one for one in (value if isinstance(value, list) else [value]) if "traces" in one]
    return found


def test_the_bundle_is_of_the_version_whose_schema_we_test_against():
    assert assets.PLOTLY.name == f"plotly-basic-{get_plotlyjs_version()}.min.js"
    assert f"plotly.js (basic - minified) v{get_plotlyjs_version()}\n" in assets.plotly_source()[:200]


@pytest.mark.parametrize("is_packed", [False, True])
def test_it_is_served_whole_and_for_ever(client: TestClient, is_packed: bool):
    answer = client.get(assets.PLOTLY_ADDRESS, headers={"Accept-Encoding": "gzip" if is_packed else "identity"})
    assert answer.text == assets.plotly_source()
    assert answer.headers.get("content-encoding") == ("gzip" if is_packed else None)
    assert "immutable" in answer.headers["cache-control"] and answer.headers["vary"] == "Accept-Encoding"


def test_plotly_knows_every_figure_of_every_page(client: TestClient, state: State):
    runs = [ran(client, state, (0.5, 0.95), seed=seed, lr=0.1) for seed in range(2)]
    other = ran(client, state, (0.6, 0.9), lr=0.2)
    group = client.get(f"/api/v1/runs/{runs[0]}").json()["recipe_hash"]
    pages = {
        "run": client.get(f"/runs/{other}"),
        "group": client.get(f"/groups/{group}"),
        "board": client.get("/board"),
        "comparison": client.get("/compare", params={"runs": other, "groups": group}),
        "form": client.get("/runs/new"),
        "previews": client.get("/previews"),
        "report": client.post("/reports", data={"runs": other, "groups": group}),
    }
    for what, page in pages.items():
        assert page.status_code == 200, (what, page.text)
        found = figures(page.text)
        assert found, f"{what} has a figure"
        for figure in found:
            go.Figure({"data": figure["traces"], "layout": figure.get("layout", {})})  # raises where it does not know
            assert {trace["type"] for trace in figure["traces"]} <= DRAWN, what


def test_an_unknown_property_would_be_seen():
    with pytest.raises(ValueError, match="lineWidth"):
        go.Figure({"data": [{"type": "scatter", "lineWidth": 2}]})
