"""The database is locked by another program, or its disk is full: reads go on, writes say so, nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx2
import pytest

from app.errors import Busy, Refusal, StorageFull
from app.records import disk as storage
from app.records import outbox
from app.records.database import Records
from app.records.models import Run
from app.records.outbox import OutboxEvent
from app.settings import Settings
from app.timing import Timing
from tests.app.support.cast import SMALL, Hand, Site, epoch, site_in, started, until
from tests.app.support.other_programs import Holder, fill, integrity, locked, small_disk

WRITERS = 60  # more than the web server has threads
BODY = {"recipe": SMALL}


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Site]:
    """The app over a small disk, with a run in its records."""
    with small_disk(tmp_path / "disk", 24) as disk, site_in(disk / "data") as made:
        httpx2.post(f"{made.url}/api/v1/runs", json=BODY).raise_for_status()
        yield made


def disk_of(site: Site) -> Path:
    return site.state.records.path.parent.parent


def refused(http: httpx2.Client, status: int) -> httpx2.Response:
    """The answer to a launch, once the room that SQLite had in hand is used up."""
    for _ in range(2000):
        answer = http.post("/api/v1/runs", json=BODY | {"notes": "x" * 5000})
        if answer.status_code != 201:
            break
    assert answer.status_code == status, answer.text
    return answer


def test_while_another_program_holds_the_database_reads_answer_and_writes_say_when_to_ask_again(
    site: Site, http: httpx2.Client
):
    http.post("/api/v1/runs", json=BODY).raise_for_status()
    answers: list[tuple[httpx2.Response, float]] = []

    def write() -> None:
        began = time.monotonic()
        answers.append((http.post("/api/v1/runs", json=BODY), time.monotonic() - began))

    reads: list[float] = []
    with locked(site.state.records.path):
        threads = [threading.Thread(target=write) for _ in range(WRITERS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            began = time.monotonic()
            for path in ("/api/v1/runs", "/runs", "/readyz", "/metrics"):
                assert http.get(path).status_code == 200
            reads.append(time.monotonic() - began)
            time.sleep(0.1)
        page = http.get("/").text

    patience_s = Timing().write_patience_s
    assert len(reads) > 2 and median(reads) < patience_s / 2, reads  # one may meet a machine at work; a lock, all
    assert [answer.status_code for answer, _ in answers] == [503] * WRITERS
    assert max(seconds for _, seconds in answers) < 2 * patience_s
    assert sum(seconds < patience_s / 2 for _, seconds in answers) > WRITERS / 2, "most must not wait for what is stuck"
    answer = answers[0][0]
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "locked by another program" in answer.json()["detail"]
    assert 'role="alert"' in page and "locked by another program" in page

    assert http.post("/api/v1/runs", json=BODY).status_code == 201
    assert "locked by another program" not in http.get("/").text
    assert len(http.get("/api/v1/runs").json()["runs"]) == 2


def test_a_lock_of_a_moment_is_waited_for(site: Site, http: httpx2.Client):
    holder = Holder(site.state.records.path)
    release = threading.Timer(0.7, holder.let_go)
    release.start()

    assert http.post("/api/v1/runs", json=BODY).status_code == 201
    release.join()


def test_trouble_is_over_as_soon_as_writing_works_though_nobody_writes(settings: Settings):
    records = Records(settings.url, timing=Timing(write_patience_s=0.2))
    with locked(records.path), pytest.raises(Busy), records.write():
        pass
    assert records.trouble

    until(lambda: records.trouble is None)
    records.close()


def test_small_writes_that_wait_together_are_let_go_together(settings: Settings):
    records = Records(settings.url, timing=Timing(write_patience_s=0.6))
    with locked(records.path):
        began = time.monotonic()
        futures = [records.submit(lambda session: None) for _ in range(200)]
        for future in futures:
            with pytest.raises(Busy):
                future.result()
        assert 0.5 < time.monotonic() - began < 10  # one after the other: two minutes
    assert records.write_grouped(lambda session: 7) == 7
    assert records.trouble is None
    records.close()


def test_a_server_starts_while_its_database_is_locked(site: Site, http: httpx2.Client):
    site.stop()
    with locked(site.state.records.path):
        site.start()
        assert httpx2.get(f"{site.url}/api/v1/runs").json()["runs"] == []
    assert httpx2.post(f"{site.url}/api/v1/runs", json=BODY).status_code == 201


def test_a_database_that_must_be_changed_first_is_refused_while_it_is_locked(tmp_path: Path):
    path = tmp_path / "new.db"
    with locked(path), pytest.raises(Refusal, match=r"new\.db cannot be opened: .*locked by another program"):
        Records(f"sqlite:///{path}", timing=Timing(write_patience_s=0.3))


def test_on_a_full_disk_reads_answer_writes_say_so_and_all_goes_on_once_there_is_room(full: Site):
    with httpx2.Client(base_url=full.url, timeout=20) as http:
        hand = Hand(http, full.state)
        assert hand.claim()
        hand.say(started(), epoch(1))
        filler = fill(disk_of(full))

        answer = refused(http, 507)
        assert answer.json()["title"] == "Storage is full"
        assert str(full.state.settings.data_dir) in answer.json()["detail"]
        kept = len(http.get("/api/v1/runs?limit=500").json()["runs"])
        for path in ("/", "/runs", "/runs/1", "/readyz", "/api/v1/runs/1/epochs"):
            assert http.get(path).status_code == 200
        assert "Nothing can be recorded just now." in http.get("/runs").text
        assert "pitwall_records_writable 0.0" in http.get("/metrics").text

        filler.unlink()
        hand.say(epoch(2))
        assert http.post("/api/v1/runs", json=BODY).status_code == 201
        assert "Nothing can be recorded just now." not in http.get("/runs").text
        assert len(http.get("/api/v1/runs?limit=500").json()["runs"]) == min(kept + 1, 500)
        assert [row["epoch"] for row in http.get("/api/v1/runs/1/epochs").json()] == [1, 2]
    assert integrity(full.state.records.path) == "ok"


def test_when_the_commit_of_several_fails_each_of_them_is_told_so_and_nobody_else(full: Site):
    records = full.state.records
    heard: list[list[OutboxEvent]] = []
    records.publish = heard.append
    filler = fill(disk_of(full))

    def enlarge(session) -> None:
        session.get_one(Run, 1).notes = "x" * 1_000_000
        outbox.record(session, OutboxEvent(None, 1, "log", {}))

    with httpx2.Client(base_url=full.url) as http:
        refused(http, 507)
    heard.clear()
    futures = [records.submit(enlarge) for _ in range(5)]
    for future in futures:
        with pytest.raises(StorageFull, match="is full"):
            future.result()

    filler.unlink()
    assert heard == []
    with records.read() as session:
        assert session.get_one(Run, 1).notes == ""
    records.write_grouped(enlarge)
    assert len(heard) == 1 and records.trouble is None
    assert integrity(records.path) == "ok"


def test_a_file_that_does_not_fit_is_told_as_a_full_disk_and_takes_its_rows_back(full: Site):
    records = full.state.records
    filler = fill(disk_of(full))

    def write(session) -> None:
        session.get_one(Run, 1).priority = 9
        (disk_of(full) / "log").write_bytes(bytes(10_000))

    with pytest.raises(StorageFull):
        records.write_grouped(write)
    with pytest.raises(StorageFull), records.write() as session:
        write(session)
    assert storage.free_space(disk_of(full)).is_full

    filler.unlink()
    with records.read() as session:
        assert session.get_one(Run, 1).priority == 0


def test_after_a_stop_on_a_full_disk_it_starts_again_and_reads(full: Site):
    fill(disk_of(full))
    with httpx2.Client(base_url=full.url) as http:
        refused(http, 507)
    full.stop()
    full.start()

    assert httpx2.get(f"{full.url}/api/v1/runs/1").status_code == 200
