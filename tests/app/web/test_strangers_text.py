"""Text of strangers in pages: shown as it is, never markup, never a script."""

from __future__ import annotations

import json
from typing import Any

from fastapi.testclient import TestClient

from app.web.deps import State
from app.web.templates import json_data
from tests.app.support.cast import SMALL, Hand, epoch, launch, started
from tests.app.support.form_fields import form

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&lt;"


def test_text_is_never_markup(client: TestClient, state: State):
    client.post("/api/v1/runs", json={"recipe": SMALL, "name": EVIL, "tags": [EVIL[:40]], "notes": EVIL})
    hand = Hand(client, state, name=EVIL)
    hand.claim()
    hand.say(
        started(environment={"device": EVIL, EVIL: EVIL}),
        epoch(1),
        {"event": "failed", "kind": EVIL, "message": EVIL, "hint": EVIL},
        log=EVIL + "\n",
    )
    hand.finish("failed", exit_code=1, reason="another " + EVIL)

    addresses = [
        "/",
        "/runs",
        "/runs/1",
        "/runs/1/summary",
        "/runs/1/recipe",
        "/fragments/rows?ids=1",
        "/runs/new?from=1",
    ]
    for address in addresses:
        page = client.get(address).text
        assert "alert(1)" in page, address
        assert "<script>alert" not in page, address
        assert "<img" not in page, address
    question = client.get("/runs", params={"q": EVIL, "status": "queued"}).text
    assert "<script>alert" not in question
    shown = client.post("/runs", data=form(client) | {"label.name": EVIL, "epochs": EVIL, EVIL: EVIL}).text
    assert "<script>alert" not in shown
    assert "<img" not in shown
    assert "<script>alert" not in client.get("/login", params={"next": "/" + EVIL}).text
    assert "<script>alert" not in client.get("/" + EVIL).text


def test_a_log_that_a_browser_opens_is_text(client: TestClient, state: State):
    launch(state)
    hand = Hand(client, state)
    hand.claim()
    hand.say(log=EVIL)

    answer = client.get("/api/v1/runs/1/log")

    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_json_in_a_page_can_end_no_element_and_stays_the_same():
    value: dict[str, Any] = {EVIL: ["</script>", "<!--", "]]>", "&amp;", "\u2028", "é"]}

    text = str(json_data(value))

    assert "<" not in text
    assert "&" not in text
    assert json.loads(text) == value
