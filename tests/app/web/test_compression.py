"""What travels packed: pages, JSON and scripts. Weights, streams of events and what is small do not."""

from __future__ import annotations

import gzip

from fastapi.testclient import TestClient

from app.records import files
from app.web.deps import State
from tests.app.board.test_ranking import ran


def test_a_page_is_packed_for_whoever_can_unpack_it(client: TestClient, state: State):
    run = ran(client, state, (0.5, 0.95), lr=0.1)
    plain = client.get(f"/runs/{run}", headers={"Accept-Encoding": "identity"})
    with client.stream("GET", f"/runs/{run}", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert "content-encoding" not in plain.headers
    assert answer.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in plain.headers["vary"] and "Accept-Encoding" in answer.headers["vary"]
    assert len(raw) < len(plain.content) / 2
    assert len(gzip.decompress(raw)) == len(plain.content)
    assert client.get("/static/js/run_charts.js").headers["content-encoding"] == "gzip"


def test_what_is_small_goes_as_it_is(client: TestClient):
    assert "content-encoding" not in client.get("/healthz").headers


def test_a_log_is_packed(client: TestClient, state: State):
    run = ran(client, state, (0.5, 0.95), lr=0.1)
    path = files.log_path(state.settings.data_dir, run, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a line of the log\n" * 1000)
    assert client.get(f"/api/v1/runs/{run}/log").headers["content-encoding"] == "gzip"
