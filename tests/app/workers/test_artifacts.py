"""Files that workers hand in: whole or not at all, fenced, listed, fetched, freed."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import time
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from app.workers import artifacts
from tests.app.support.cast import Hand, Site, bearer, epoch, launch, started, until
from tests.app.support.queue_verbs import rescue

CHECKPOINT = "checkpoint.safetensors"


@pytest.fixture
def hand(client: TestClient, state: State) -> Hand:
    """A worker that holds a run."""
    launch(state)
    made = Hand(client, state)
    assert made.claim()
    made.say(started(), epoch(1))
    return made


def put(hand: Hand, content: bytes, name: str = CHECKPOINT, sha256: str = "", **where: int) -> int:
    address = f"/api/v1/worker/runs/{hand.run}/attempts/{hand.attempt}/artifacts/{name}"
    params: dict[str, str | int] = {"sha256": sha256 or hashlib.sha256(content).hexdigest(), "epoch": 1, "step": 0}
    params |= where
    headers = hand._headers | {"Content-Type": "application/octet-stream"}
    return int(hand.http.put(address, content=content, params=params, headers=headers).status_code)


def kept(state: State, run_id: int) -> list[Path]:
    folder = state.settings.data_dir / "runs" / str(run_id) / "artifacts"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_file_is_handed_in_listed_and_fetched_as_it_was(client: TestClient, state: State, hand: Hand):
    content = bytes(range(256)) * 8192  # 2 MiB: beyond what a JSON body may take
    assert put(hand, content, epoch=3, step=7) == 200

    listed = client.get(f"/api/v1/runs/{hand.run}/artifacts").json()
    assert [(one["name"], one["bytes"], one["epoch"], one["step"], one["attempt"]) for one in listed] == [
        (CHECKPOINT, len(content), 3, 7, 1)
    ]
    fetched = client.get(f"/api/v1/runs/{hand.run}/artifacts/{CHECKPOINT}")
    assert fetched.content == content
    assert fetched.headers["content-disposition"].startswith("attachment")
    assert (fetched.headers["content-length"], fetched.headers.get("content-encoding")) == (str(len(content)), None)
    own = client.get(f"/api/v1/worker/runs/{hand.run}/attempts/1/checkpoint", headers=bearer(state.tokens.worker))
    assert own.content == content
    assert client.get(f"/api/v1/runs/{hand.run}").json()["artifacts"] == listed


def test_a_newer_file_takes_the_place_of_the_old_one_and_frees_it(client: TestClient, state: State, hand: Hand):
    assert put(hand, b"old", epoch=1) == 200
    assert put(hand, b"new", epoch=2) == 200
    assert put(hand, b"new", epoch=2) == 200

    assert [path.read_bytes() for path in kept(state, hand.run)] == [b"new"]
    assert [one["epoch"] for one in client.get(f"/api/v1/runs/{hand.run}/artifacts").json()] == [2]


def test_two_names_for_one_content_share_it_until_the_last_name_goes(client: TestClient, state: State, hand: Hand):
    assert put(hand, b"same", CHECKPOINT) == put(hand, b"same", "best.safetensors") == 200
    assert put(hand, b"other", CHECKPOINT) == 200

    assert sorted(path.read_bytes() for path in kept(state, hand.run)) == [b"other", b"same"]


def test_a_body_that_was_cut_or_changed_is_refused_and_leaves_nothing(state: State, hand: Hand):
    assert put(hand, b"whole") == 200
    assert put(hand, b"cut", sha256=hashlib.sha256(b"as it was").hexdigest()) == 422

    assert [path.read_bytes() for path in kept(state, hand.run)] == [b"whole"]


def test_who_lost_the_run_is_refused_before_and_after_the_body(client: TestClient, state: State, hand: Hand):
    rescue(state, (hand.run, hand.attempt))
    other = Hand(client, state, "bob")
    assert other.claim()

    assert put(hand, b"of a zombie") == 409
    assert kept(state, hand.run) == []
    assert put(other, b"of the holder") == 200


@pytest.mark.parametrize("name", ["..", "A", ".hidden", "a" * 65, "a%2Fb", "a%00b"])
def test_a_name_that_is_no_plain_one_is_refused(state: State, hand: Hand, name: str):
    assert put(hand, b"x", name) in {404, 405, 415, 422}
    assert kept(state, hand.run) == []


def test_a_file_that_is_sent_as_json_or_with_a_wrong_hash_s_form_is_refused(
    client: TestClient, state: State, hand: Hand
):
    assert put(hand, b"x", sha256="no hash") == 422
    address = f"/api/v1/worker/runs/{hand.run}/attempts/1/artifacts/{CHECKPOINT}?sha256={'0' * 64}"
    assert client.put(address, json={}, headers=bearer(state.tokens.worker)).status_code == 415
    assert client.put(address, content=b"x").status_code == 401


def test_only_files_of_a_run_that_has_ended_are_deleted(client: TestClient, state: State, hand: Hand):
    assert put(hand, b"kept") == 200
    address = f"/api/v1/runs/{hand.run}/artifacts/{CHECKPOINT}"
    assert client.delete(address).status_code == 409
    hand.finish()
    assert client.delete(address).status_code == 204

    assert kept(state, hand.run) == []
    assert client.delete(address).status_code == 404
    assert client.get(address).status_code == 404


def test_a_deleted_run_and_a_retry_from_scratch_free_their_files(client: TestClient, state: State, hand: Hand):
    assert put(hand, b"x") == 200
    hand.finish("failed", failure="error", reason="It broke.")
    assert client.post(f"/api/v1/runs/{hand.run}/retry", json={"from": "scratch"}).json()["status"] == "queued"
    assert (kept(state, hand.run), client.get(f"/api/v1/runs/{hand.run}/artifacts").json()) == ([], [])

    assert hand.claim()
    assert put(hand, b"y") == 200
    hand.finish()
    assert client.delete(f"/api/v1/runs/{hand.run}").status_code == 204
    assert not (state.settings.data_dir / "runs" / str(hand.run)).exists()


def test_an_upload_whose_worker_dies_in_the_middle_leaves_nothing_and_is_nobodys_mistake(
    site: Site, http: httpx2.Client, caplog: pytest.LogCaptureFixture
):
    logging.getLogger("uvicorn.error").addHandler(caplog.handler)
    launch(site.state)
    hand = Hand(http, site.state)
    assert hand.claim()
    host, port = site.url.removeprefix("http://").split(":")
    head = [
        f"PUT /api/v1/worker/runs/{hand.run}/attempts/1/artifacts/{CHECKPOINT}?sha256={'0' * 64} HTTP/1.1",
        f"Host: {host}:{port}",
        *(f"{name}: {value}" for name, value in bearer(site.state.tokens.worker).items()),
        "Content-Type: application/octet-stream",
        "Content-Length: 1000000",
    ]
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + bytes(1000))
        until(lambda: kept(site.state, hand.run))
    until(lambda: not kept(site.state, hand.run))

    assert http.get("/healthz").status_code == 200
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def test_what_a_crash_left_half_received_is_freed_at_the_next_start_and_what_has_no_row_later(state: State, hand: Hand):
    assert put(hand, b"whole") == 200
    folder = state.settings.data_dir / "runs" / str(hand.run) / "artifacts"
    (folder / ".half.part").write_bytes(b"ha")
    nameless = folder / ("0" * 64)
    nameless.write_bytes(b"without its row")

    artifacts.sweep(state.records, state.settings.data_dir)
    assert [path.read_bytes() for path in kept(state, hand.run)] == [b"without its row", b"whole"]

    long_ago = time.time() - artifacts.ORPHAN_S - 60
    for path in kept(state, hand.run):
        os.utime(path, (long_ago, long_ago))
    artifacts.sweep(state.records, state.settings.data_dir)
    assert [path.read_bytes() for path in kept(state, hand.run)] == [b"whole"]


def test_a_claim_says_where_the_run_may_go_on(client: TestClient, state: State, hand: Hand):
    assert put(hand, b"x", epoch=1, step=4) == 200
    hand.finish("released")
    body = {"worker": "bob", "device": "cpu", "backends": ["tensorflow"], "wait_s": 0}
    claimed = client.post("/api/v1/worker/claim", json=body, headers=bearer(state.tokens.worker)).json()

    assert claimed["attempt"] == 2
    assert claimed["resume"]["known_epoch"] == 1
    assert {key: claimed["resume"]["checkpoint"][key] for key in ("epoch", "step", "bytes")} == {
        "epoch": 1, "step": 4, "bytes": 1,
    }  # fmt: skip


def test_a_listed_file_that_is_gone_is_said_to_be(client: TestClient, state: State, hand: Hand):
    assert put(hand, b"x") == 200
    kept(state, hand.run)[0].unlink()

    answer = client.get(f"/api/v1/runs/{hand.run}/artifacts/{CHECKPOINT}")
    assert answer.status_code == 404
    assert "no longer on the disk" in answer.json()["detail"]
