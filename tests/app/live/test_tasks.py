"""Tasks: somebody asks, a worker's own thread does it by a real child, the answer comes back; nothing stays."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.live.tasks import MAX_QUEUED
from app.web.deps import State
from tests.app.support.cast import Hand, Site, bearer, epoch, launch, started, until
from tests.app.workers.test_artifacts import put
from tests.trainer.inference.model_file import write_net
from trainer.worker.client import Client, NotFound, Unreachable
from trainer.worker.tasks import Tasks

PICTURE = {"Content-Type": "image/png"}
HOSTILE = "<img src=x onerror=alert(1)>"
NAMES = ["cat", HOSTILE, "dog"]


def png(side: int = 40) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (side, side), (200, 10, 40)).save(made, "PNG")
    return made.getvalue()


def trained(http: httpx2.Client | TestClient, state: State, folder: Path) -> int:
    """A run that has ended and handed its best weights in."""
    run_id = launch(state)
    hand = Hand(http, state)
    assert hand.claim()
    hand.say(started(), epoch(1))
    write_net(folder / "best.safetensors", NAMES)
    assert put(hand, (folder / "best.safetensors").read_bytes(), "best.safetensors") == 200
    hand.finish()
    return run_id


@pytest.fixture
def run_id(site: Site, http: httpx2.Client, tmp_path: Path) -> int:
    return trained(http, site.state, tmp_path)


@contextmanager
def at_work(site: Site, python: str = sys.executable) -> Iterator[Tasks]:
    """A worker that does tasks until the end of the block."""
    client = Client(site.url, site.state.tokens.worker)
    made = Tasks(client, "ada", "cpu", ["tensorflow"], {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}, python)
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                made.once(wait_s=0.5)
            except Unreachable:
                return

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: site.state.tasks.has_worker)
    yield made
    over.set()
    thread.join()
    client.close()


@pytest.fixture
def attended(site: Site, run_id: int) -> Iterator[Tasks]:
    with at_work(site) as made:
        yield made


def nothing_stays(site: Site) -> bool:
    folder = site.state.settings.data_dir / "exports"
    return not folder.exists() or not list(folder.iterdir())


def test_a_picture_gets_the_probabilities_of_all_classes(attended: Tasks, http: httpx2.Client, run_id: int):
    answer = http.post(f"/api/v1/runs/{run_id}/predict", content=png(), headers=PICTURE)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    shares = [one["probability"] for one in said["classes"]]
    assert sorted(one["name"] for one in said["classes"]) == sorted(NAMES)
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert (said["epoch"], said["accuracy"], said["plain_accuracy"]) == (1, 0.5, None)
    assert said["seen"].startswith("data:image/png;base64,")


def test_the_page_shows_them_and_names_with_markup_are_text(attended: Tasks, http: httpx2.Client, run_id: int):
    answer = http.post(f"/runs/{run_id}/try", files={"picture": ("<b>x</b>.png", png(), "image/png")})
    assert answer.status_code == 200
    assert answer.text.count("<meter") == 3
    assert HOSTILE not in answer.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in answer.text


@pytest.mark.parametrize("content", [b"<svg onload='alert(1)'/>", b"\x89PNG\r\n\x1a\n" + bytes(100), png()[:-30]])
def test_what_is_no_picture_is_refused_with_a_sentence(
    attended: Tasks, site: Site, http: httpx2.Client, run_id: int, content: bytes
):
    answer = http.post(f"/api/v1/runs/{run_id}/predict", content=content, headers=PICTURE)
    assert answer.status_code == 422
    assert answer.json()["field"] == "picture"
    assert "send a whole PNG, JPEG" in answer.json()["detail"]
    page = http.post(f"/runs/{run_id}/try", files={"picture": ("x.png", content, "image/png")})
    assert page.status_code == 422
    assert "This is not an image that can be read" in page.text
    assert nothing_stays(site)


@pytest.mark.parametrize("kind", ["onnx", "keras"])
def test_a_net_comes_as_a_file_for_others(attended: Tasks, site: Site, http: httpx2.Client, run_id: int, kind: str):
    answer = http.get(f"/api/v1/runs/{run_id}/exports/{kind}", timeout=120)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="run-{run_id}-epoch-1.{kind}"'
    assert len(answer.content) > 100_000
    assert answer.content[:2] == b"PK" if kind == "keras" else b"pitwall" in answer.content[:100]
    until(lambda: nothing_stays(site))


def test_a_part_of_an_export_is_asked_for_and_nothing_stays(
    attended: Tasks, site: Site, http: httpx2.Client, run_id: int
):
    answer = http.get(f"/api/v1/runs/{run_id}/exports/onnx", headers={"Range": "bytes=99999999-"}, timeout=120)
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["content-length"])
    assert nothing_stays(site)


def test_the_page_s_own_address_refuses_with_a_page(http: httpx2.Client, run_id: int):
    answer = http.get(f"/runs/{run_id}/exports/onnx")
    assert answer.status_code == 503
    assert "<h1" in answer.text
    assert "no worker is connected" in answer.text.lower()


def test_another_site_cannot_make_workers_busy(http: httpx2.Client, run_id: int):
    answer = http.get(f"/api/v1/runs/{run_id}/exports/onnx", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_a_reload_of_an_answer_leads_to_the_run(http: httpx2.Client, run_id: int):
    answer = http.get(f"/runs/{run_id}/try", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}")


def test_what_a_worker_cannot_hand_over_is_said_to_who_asked(site: Site, http: httpx2.Client, run_id: int):
    """Its file is cut on its way; then the weights have gone when it comes for them."""
    client = Client(site.url, site.state.tokens.worker)
    claims: list[Any] = []
    said: list[int] = []

    def ask() -> None:
        said.append(http.get(f"/api/v1/runs/{run_id}/exports/onnx", timeout=60).status_code)

    assert client.claim_task("ada", "cpu", ["tensorflow"], wait_s=0) is None
    for end in ("cut", "gone"):
        asking = threading.Thread(target=ask)
        asking.start()
        claims.append(client.claim_task("ada", "cpu", ["tensorflow"], wait_s=20))
        if end == "cut":
            headers = bearer(site.state.tokens.worker) | {"Content-Type": "application/octet-stream"}
            address = f"/api/v1/worker/tasks/{claims[-1].number}/file"
            assert http.put(address, content=b"x", params={"sha256": "0" * 64}, headers=headers).status_code == 422
        else:
            for path in (site.state.settings.data_dir / "runs" / str(run_id) / "artifacts").iterdir():
                path.unlink()
            with pytest.raises(NotFound):
                client.fetch_weights(claims[-1], site.state.settings.data_dir / "x")
        asking.join(20)
    client.close()
    assert said == [503, 409]
    assert nothing_stays(site)


def test_a_format_that_nobody_writes_is_refused(http: httpx2.Client, run_id: int):
    answer = http.get(f"/api/v1/runs/{run_id}/exports/pickle")
    assert answer.status_code in {404, 422}


def test_a_child_that_breaks_is_the_task_s_alone(site: Site, http: httpx2.Client, run_id: int, tmp_path: Path):
    python, is_broken = tmp_path / "python", tmp_path / "is-broken"
    python.write_text(f'#!/bin/sh\n[ -e "{is_broken}" ] && exit 1\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o700)
    is_broken.touch()
    with at_work(site, str(python)):
        answer = http.post(f"/api/v1/runs/{run_id}/predict", content=png(), headers=PICTURE)
        assert (answer.status_code, answer.json()["detail"]) == (409, "the worker failed: its log has the reason")
        is_broken.unlink()
        assert http.post(f"/api/v1/runs/{run_id}/predict", content=png(), headers=PICTURE).status_code == 200


def test_without_a_worker_it_says_so_at_once(client: TestClient, state: State, tmp_path: Path):
    run = trained(client, state, tmp_path)
    answer = client.post(f"/api/v1/runs/{run}/predict", content=png(), headers=PICTURE)
    assert answer.status_code == 503
    assert "no worker is connected" in answer.json()["detail"]
    page = client.post(f"/runs/{run}/try", files={"picture": ("x.png", png(), "image/png")})
    assert (page.status_code, "No worker is connected" in page.text) == (503, True)


def test_a_run_without_weights_says_so(client: TestClient, state: State):
    run = launch(state)
    answer = client.post(f"/api/v1/runs/{run}/predict", content=png(), headers=PICTURE)
    assert (answer.status_code, "has no weights here" in answer.json()["detail"]) == (409, True)
    assert client.post("/api/v1/runs/99/predict", content=png(), headers=PICTURE).status_code == 404


@pytest.mark.parametrize("address", ["/runs/1/try", "/api/v1/runs/1/predict"])
def test_a_large_body_is_refused_before_it_is_read(client: TestClient, address: str):
    answer = client.post(address, content=bytes(20 * 2**20), headers=PICTURE)
    assert answer.status_code == 413
    assert "8256 KiB" in answer.text


def test_a_page_of_another_site_cannot_ask(client: TestClient):
    answer = client.post("/runs/1/try", content=b"x", headers=PICTURE | {"Origin": "http://evil.example"})
    assert answer.status_code == 403


def test_the_api_takes_pictures_only(client: TestClient):
    answer = client.post("/api/v1/runs/1/predict", content=b"x", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


def test_no_more_wait_than_can_be_held(site: Site, http: httpx2.Client, run_id: int):
    """Nobody does the tasks, though a worker has just asked for one."""
    worker = Client(site.url, site.state.tokens.worker)
    assert worker.claim_task("ada", "cpu", ["tensorflow"], wait_s=0) is None
    worker.close()
    codes: list[int] = []

    def ask() -> None:
        with httpx2.Client(base_url=site.url, timeout=httpx2.Timeout(5, read=3)) as own:
            try:
                codes.append(own.post(f"/api/v1/runs/{run_id}/predict", content=png(), headers=PICTURE).status_code)
            except httpx2.ReadTimeout:
                codes.append(0)

    threads = [threading.Thread(target=ask) for _ in range(MAX_QUEUED + 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [0] * MAX_QUEUED + [503] * 3


def test_tasks_need_the_workers_token(client: TestClient, state: State):
    for method, end in (("GET", "weights"), ("GET", "picture"), ("POST", "answer"), ("PUT", "file")):
        address = f"/api/v1/worker/tasks/1/{end}"
        assert client.request(method, address).status_code in {401, 415}
    answer = client.get("/api/v1/worker/tasks/1/weights", headers=bearer(state.tokens.worker))
    assert (answer.status_code, "no client is waiting" in answer.json()["detail"]) == (404, True)
