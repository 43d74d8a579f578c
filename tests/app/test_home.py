"""Home: cards of running runs, the queue and its order, recently finished runs, workers and their load."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from app.charts.svg_paths import MAX_SPARKLINE_POINTS, sparkline_points
from app.errors import Conflict
from app.home import VISIT_TIMEOUT_S, _visit
from app.live.device_load import WINDOW_S, DeviceLoads
from app.records.models import Run
from app.runs import lifecycle
from app.web.deps import State
from tests.app.board.test_ranking import ran
from tests.app.support.cast import NOW, Clock, Hand, claim, epoch, launch, started


def queue(state: State) -> list[int]:
    """In the order in which workers get them."""
    with state.records.read() as session:
        rows = session.query(Run.id).filter(Run.status == "queued").order_by(Run.priority.desc(), Run.id)
        return [row.id for row in rows]


def test_a_card_shows_the_curve_of_a_run_that_trains(client: TestClient, state: State):
    run = launch(state, name="growing")
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(), epoch(1, 0.2), epoch(2, 0.6))
    page = client.get("/").text
    card = client.get(f"/fragments/card/{run}").text
    assert card.strip() in page.replace("  <div", "<div") or "growing" in page
    points = re.findall(r'points="([\d., ]+)"', card)[0].split()
    assert points == ["0.0,24.0", "33.3,0.0"], "two of four epochs, from the worst to the best"
    assert client.get("/fragments/card/999").status_code == 404


@pytest.mark.parametrize("before", ["first", "second", "third", "last", None])
@pytest.mark.parametrize("moved", range(4))
def test_a_run_is_moved_to_any_place_and_the_others_keep_theirs(state: State, moved: int, before: str | None):
    ids = [launch(state, priority=priority) for priority in (0, 3, 0, -2)]
    order = queue(state)
    assert order == [ids[1], ids[0], ids[2], ids[3]]
    run = order[moved]
    target = None if before is None else order[["first", "second", "third", "last"].index(before)]
    with state.records.write() as session:
        lifecycle.move(session, run, target, NOW)
    others = [one for one in order if one != run]
    at = moved if target == run else len(others) if target is None else others.index(target)
    if target == run:
        at = len(others)  # before itself: nothing to stand before
    assert queue(state) == [*others[:at], run, *others[at:]]


def test_very_many_moves_keep_priorities_within_what_people_may_give(state: State):
    ids = [launch(state) for _ in range(3)]
    for _ in range(150):
        with state.records.write() as session:
            order = queue(state)
            lifecycle.move(session, order[-1], order[0], NOW)
    with state.records.read() as session:
        priorities = [session.get_one(Run, one).priority for one in ids]
    assert max(map(abs, priorities)) <= 101
    assert queue(state) == ids


def test_only_queued_runs_have_a_place(client: TestClient, state: State):
    held, waiting = launch(state), launch(state)
    assert claim(state)
    with state.records.write() as session, pytest.raises(Conflict, match="only queued runs"):
        lifecycle.move(session, held, waiting, NOW)
    assert client.post(f"/api/v1/runs/{waiting}/move", json={"before": held}).status_code == 409
    assert client.post(f"/api/v1/runs/{waiting}/move", json={"before": None}).status_code == 200
    assert client.post(f"/runs/{waiting}/move", data={"before": "x"}).status_code == 422


def test_the_buttons_of_the_queue_are_form_posts(client: TestClient, state: State):
    ids = [launch(state, name=name) for name in "abc"]
    page = client.get("/").text
    forms = dict(re.findall(r'action="/runs/(\d+)/move"(.*?)</form>', page, re.DOTALL))
    assert [re.findall(r'value="(\d*)"', forms[str(one)]) for one in ids] == [
        [str(ids[2])],
        [str(ids[0]), str(ids[0]), ""],
        [str(ids[0]), str(ids[1])],
    ]
    client.post(f"/runs/{ids[2]}/move", data={"before": str(ids[0])})
    assert queue(state) == [ids[2], ids[0], ids[1]]


def test_runs_that_finished_since_the_last_visit_come_first(client: TestClient, state: State):
    assert "Finished since your last visit" not in client.get("/").text
    ran(client, state, (0.5, 0.95))
    assert "Recently finished" in client.get("/").text, "the same visit"
    long_ago = int((state.now() - timedelta(days=2)).timestamp())
    client.cookies.clear()
    assert "Finished since your last visit" in client.get("/", headers={"Cookie": f"pitwall_visit=0.{long_ago}"}).text
    client.cookies.clear()
    assert client.get("/", headers={"Cookie": "pitwall_visit=<b>.1"}).status_code == 200


def test_a_visit_ends_when_nobody_looked_for_a_while():
    first = _visit("", 1000)
    assert first == (0, "0.1000")
    assert _visit("0.1000", 1100) == (0, "0.1100")
    assert _visit("0.1100", 1100 + VISIT_TIMEOUT_S + 1) == (1100, f"1100.{1101 + VISIT_TIMEOUT_S}")
    assert _visit("5.99999", 100) == (0, "0.100"), "a cookie of the future"


def test_gauges_forget_what_is_older_than_ten_minutes():
    clock = Clock()
    loads = DeviceLoads(clock)
    for _ in range(3):
        loads.add("ada", {"busy": 0.5})
        clock.seconds += WINDOW_S / 2
    assert [sample.ago_s for sample in loads.list_samples("ada")] == [WINDOW_S, WINDOW_S / 2]
    assert loads.list_samples("nobody") == []


def test_claims_and_beats_carry_the_device_load(client: TestClient, state: State):
    bearer = {"Authorization": f"Bearer {state.settings.worker_token_file.read_text().strip()}"}
    reading = {"busy": 0.25, "memory": 3 * 10**9, "memory_total": 16 * 10**9, "temperature": 61.4, "watts": 215.2}
    asked = {"worker": "ada", "device": "gpu:0", "backends": ["tensorflow"], "wait_s": 0, "gauge": reading}
    run = launch(state)
    claimed = client.post("/api/v1/worker/claim", json=asked, headers=bearer).json()
    beat = f"/api/v1/worker/runs/{run}/attempts/{claimed['attempt']}/beat"
    client.post(beat, json={"gauge": reading | {"busy": 1.0, "watts": None}}, headers=bearer).raise_for_status()
    client.post(beat, headers=bearer).raise_for_status()
    assert [sample.reading["busy"] for sample in state.gauges.list_samples("ada")] == [0.25, 1.0]
    devices = client.get("/fragments/devices").text
    assert "100\u202f%" in devices and "61&#8239;°C" in devices
    assert "W</dd>" not in devices, "what is not known now is not shown"
    for wrong in ({"busy": 2}, {"busy": "NaN"}, {"memory": -1}, {"more": 1}):
        assert client.post(beat, json={"gauge": wrong}, headers=bearer).status_code == 422


def test_a_sparkline_has_a_maximum_of_points():
    xs = list(range(10_000))
    line = sparkline_points(xs, [float(x) for x in xs], across=(0, 9999), up=(0, 9999)).split()
    assert len(line) == MAX_SPARKLINE_POINTS
    assert (line[0], line[-1]) == ("0.0,24.0", "100.0,0.0")
    assert sparkline_points([1, 2], [None, float("nan")], across=(1, 2), up=(0, 1)) == ""
    flat = sparkline_points([1, 2], [0.5, 0.5], across=(1, 2), up=(0.5, 0.5)).split()
    assert flat == ["0.0,12.0", "100.0,12.0"]


def test_the_leaderboard_is_shown_once_something_is_ranked(client: TestClient, state: State):
    assert "Leaderboard" not in client.get("/").text
    for seed in range(2):
        ran(client, state, (0.5, 0.95), seed=seed)
    assert "Leaderboard" in client.get("/").text


def test_every_order_of_three_can_be_made(state: State):
    ids = [launch(state) for _ in range(3)]
    for wanted in itertools.permutations(ids):
        for one in wanted:
            with state.records.write() as session:
                lifecycle.move(session, one, None, NOW)
        assert queue(state) == list(wanted)
