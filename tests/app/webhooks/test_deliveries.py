"""Webhooks: one message for each end of a run, retries after failures, and no requests to forbidden addresses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from app.application import create_app
from app.runs import lifecycle, runs
from app.web.deps import State
from app.webhooks import client as hook_client
from app.webhooks import deliveries
from app.webhooks.messages import message_body
from app.webhooks.sender import deliver_due
from tests.app.support.cast import HERE, NOW, launch, settings_in, state_of

SECRET = "xoxb-a-secret"


class Receiver:
    """A server that records requests and answers with `status` and `headers`."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((self.path, json.loads(body)))
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"said <b>so</b>")

            def log_message(self, *said: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/{SECRET}?a=1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def hooked(tmp_path: Path, receiver: Receiver) -> Iterator[State]:
    """A site with a JSON and a Slack webhook; its clock stands still until a test moves it."""
    webhooks = f"json={receiver.url} slack={receiver.url}"
    made = state_of(settings_in(tmp_path, webhooks=webhooks, webhooks_private=True, public_url="https://pit.example/"))
    yield at(made, 0)
    made.records.close()


def at(state: State, seconds: float) -> State:
    return replace(state, now=lambda: NOW + timedelta(seconds=seconds))


def outcomes(state: State) -> list[tuple[str, str, int]]:
    with state.records.read() as session:
        return [(one.kind, one.outcome, one.tries) for one in reversed(deliveries.load_log(session))]


def end(state: State, run: int) -> None:
    with state.records.write() as session:
        lifecycle.cancel(session, run, NOW + timedelta(seconds=1))


def test_each_webhook_gets_a_test_message_and_then_one_message_per_run_that_ends(hooked: State, receiver: Receiver):
    run = launch(hooked, name="a <b> & c")
    deliver_due(hooked)
    assert [body.get("event") or body["text"].partition(".")[0] for _, body in receiver.received] == [
        "test",
        "Pitwall is connected",
    ]
    end(hooked, run)
    receiver.received.clear()
    deliver_due(at(hooked, 1))
    with hooked.records.write() as session:
        runs.edit(session, run, {"notes": "later"}, NOW + timedelta(seconds=2))
    deliver_due(at(hooked, 2))
    (path, message), (_, slack) = receiver.received
    assert path == f"/services/{SECRET}?a=1"
    assert (message["event"], message["run"]["status"], message["run"]["name"]) == (
        "run_ended",
        "cancelled",
        "a <b> & c",
    )
    assert message["url"] == f"https://pit.example/runs/{run}"
    assert slack["text"] == f"a &lt;b&gt; &amp; c cancelled after 0 of 4 epochs.\nhttps://pit.example/runs/{run}"
    assert outcomes(hooked) == [(kind, "delivered", 1) for kind in ("json", "slack")] * 2


def test_a_webhook_that_fails_is_retried_and_then_given_up(hooked: State, receiver: Receiver):
    receiver.status = 503
    after = 0
    for wait in (0, *deliveries.RETRY_DELAYS_S):
        deliver_due(at(hooked, after + wait - 1))  # too early
        after += wait
        deliver_due(at(hooked, after))
    assert outcomes(hooked) == [("json", "given_up", 6), ("slack", "given_up", 6)]
    assert len(receiver.received) == 12
    with hooked.records.read() as session:
        assert deliveries.load_log(session)[0].answer == "it answered 503: said <b>so</b>"


def test_a_pending_message_is_sent_once_when_the_webhook_is_back(hooked: State, receiver: Receiver):
    receiver.status = 500
    deliver_due(hooked)
    receiver.status = 204
    deliver_due(at(hooked, 11))
    assert outcomes(hooked) == [("json", "delivered", 2), ("slack", "delivered", 2)]


def test_a_redirect_is_not_followed(receiver: Receiver):
    receiver.status, receiver.headers = 302, {"Location": receiver.url}
    with pytest.raises(hook_client.NotDelivered, match="a redirect, which is not followed"):
        hook_client.post(receiver.url, b"{}", may_be_private=True)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.0.0.5", "169.254.169.254", "[::1]", "[::ffff:10.0.0.5]", "[64:ff9b::a00:5]",
     "[2002:a00:5::]", "[fe80::1]", "0.0.0.0", "224.0.0.1", "2130706433", "0x7f.1"],
)  # fmt: skip
def test_private_addresses_are_refused_in_every_notation(receiver: Receiver, host: str):
    with pytest.raises(hook_client.NotDelivered, match=r"private address|no answer"):
        hook_client.post(f"http://{host}:{receiver.server.server_port}/", b"{}", may_be_private=False)
    assert not receiver.received


def test_an_unknown_host_and_a_closed_port_are_described():
    with pytest.raises(hook_client.NotDelivered, match="its host name cannot be resolved"):
        hook_client.post("http://nobody.invalid/", b"{}", may_be_private=False)
    with pytest.raises(hook_client.NotDelivered, match=r"no answer: .*refused"):
        hook_client.post("http://127.0.0.1:1/", b"{}", may_be_private=True)


@pytest.mark.parametrize(
    "webhooks",
    ["https://a.example", "teams=https://a.example", "json=ftp://a.example", "json=https://", "slack=https://[::"],
)
def test_an_invalid_webhook_setting_is_refused_at_startup(tmp_path: Path, webhooks: str):
    with pytest.raises(ValidationError, match="webhook 1 "):
        settings_in(tmp_path, webhooks=webhooks)


def test_discord_messages_mention_nobody_and_are_never_too_long():
    run = {"name": "@everyone", "status": "failed", "last_epoch": 1, "epochs": 2, "reason": "x" * 5000}
    message = json.loads(message_body("discord", run, ""))
    assert message["allowed_mentions"] == {"parse": []}
    assert len(message["content"]) <= 2000


def test_the_page_lists_webhooks_and_deliveries_but_no_secret(hooked: State, receiver: Receiver):
    receiver.status = 500
    deliver_due(hooked)
    with TestClient(create_app(hooked), base_url=HERE, follow_redirects=False) as client:
        page = client.get("/notices").text
        assert page.count("Send test") == 2
        assert "said &lt;b&gt;so&lt;/b&gt;" in page
        assert SECRET not in page and "127.0.0.1" in page
        assert client.post("/notices/test", data={"hook": hooked.settings.hooks[0].key}).status_code == 303
        assert client.post("/notices/test", data={"hook": "x"}).status_code == 404
    assert SECRET not in hooked.records.path.read_bytes().decode("latin-1")
    assert SECRET not in repr(hooked.settings)


def test_a_running_app_sends_within_seconds_of_the_end(tmp_path: Path, receiver: Receiver):
    state = state_of(settings_in(tmp_path, webhooks=f"json={receiver.url}", webhooks_private=True))
    with TestClient(create_app(state), base_url=HERE) as client:
        run = launch(state)
        client.post(f"/api/v1/runs/{run}/cancel").raise_for_status()
        for _ in range(100):
            if len(receiver.received) == 2:
                break
            time.sleep(0.05)
        assert [body["event"] for _, body in receiver.received] == ["test", "run_ended"]
    state.records.close()
