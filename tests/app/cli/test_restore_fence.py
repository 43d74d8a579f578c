"""A restore gives no number to a second thing: whoever lived after the backup is refused, and its work is done anew."""

from __future__ import annotations

from pathlib import Path

import httpx2

from app.cli.backup import back_up
from app.records.models import Status
from app.web.deps import State
from tests.app.cli.test_backup import rows
from tests.app.cli.test_restore import KEPT, copy, taken_back
from tests.app.support.cast import SMALL, Hand, Site, claim, epoch, launch, started, state_of
from tests.app.support.queue_verbs import attempt_of, beat, cancel, finish, found, held_run, pause, retry, say
from trainer.protocol import CHECKPOINT

__all__ = ["copy"]  # a fixture


def test_after_a_restore_old_workers_are_refused_and_their_runs_are_done_anew(
    site: Site, http: httpx2.Client, copy: Path
):
    held, fresh = (Hand(http, site.state, name) for name in ("held", "fresh"))
    http.post("/api/v1/runs", json={"recipe": SMALL, "repeats": 2})
    assert held.claim()
    held.say(started(), epoch(1))
    back_up(site.state.settings, copy)
    held.say(epoch(2))
    assert fresh.claim()  # an attempt that the backup does not know
    fresh.say(started(), epoch(1))
    lost_run = http.post("/api/v1/runs", json={"recipe": SMALL}).json()["runs"][0]["id"]
    newest_event = rows(site.state.records.path, "SELECT max(id) FROM events")[0][0]
    copied = {number for (number,) in rows(copy, "SELECT id FROM events")}

    site.stop()
    taken_back(site.state.settings, copy)
    site.start()

    for old in (held, fresh):
        answers = [old.post("beat"), old.post("report", first_seq=old.seq, events=[epoch(3)])]
        address = f"/api/v1/worker/runs/{old.run}/attempts/{old.attempt}/artifacts/{CHECKPOINT}?sha256={'0' * 64}"
        binary = old._headers | {"Content-Type": "application/octet-stream"}
        answers.append(old.http.put(address, content=b"late", headers=binary))
        assert [answer.status_code for answer in answers] == [409] * 3
        old.post("finish", outcome="succeeded")  # 409, or the answer to what was said before: nothing changes
    old = http.get(f"/api/v1/runs/{held.run}").json()
    assert (old["status"], old["last_epoch"], old["attempt"]) == ("queued", 1, 101)
    assert (old["attempts"][0]["outcome"], old["reason"]) == ("released", None)
    for former in (held, fresh):
        new = Hand(http, site.state, "new")
        assert new.claim()
        assert (new.run, new.attempt) == (former.run, former.attempt + 101)
        new.say(started(), epoch(1), epoch(2))
        assert former.post("beat").status_code == 409
    assert http.get(f"/api/v1/runs/{lost_run}").status_code == 404
    assert http.post("/api/v1/runs", json={"recipe": SMALL}).json()["runs"][0]["id"] == lost_run + 1001
    ids = {number for (number,) in rows(site.state.records.path, "SELECT id FROM events")}
    assert ids > copied and min(ids - copied) > newest_event


def test_what_was_asked_of_a_held_run_is_done_by_the_restore(state: State, copy: Path):
    cancelled, paused, held = (held_run(state) for _ in range(3))
    cancel(state, cancelled[0])
    pause(state, paused[0])
    back_up(state.settings, copy)
    state.records.close()
    taken_back(state.settings, copy)

    again = state_of(state.settings)
    stand = [found(again, run_id) for run_id, _ in (cancelled, paused, held)]
    assert [run.status for run in stand] == [Status.CANCELLED, Status.PAUSED, Status.QUEUED]
    assert [run.requested for run in stand] == [None] * 3
    assert [run.attempt for run in stand] == [1, 101, 101]
    assert attempt_of(again, held[0]).reason == "the records were restored from a backup"
    again.records.close()


def test_no_attempt_is_handed_out_twice_however_often_a_backup_is_restored(state: State, copy: Path):
    launch(state)
    back_up(state.settings, copy)
    given = []
    for hours in range(4):
        held = claim(state)
        assert held
        given.append(held)
        state.records.close()
        taken_back(state.settings, copy, hours=hours)
        state = state_of(state.settings)
    state.records.close()

    assert given == [(1, 1), (1, 102), (1, 203), (1, 304)]


def test_an_ended_run_keeps_its_attempt_unless_it_was_tried_again_after_the_backup(state: State, copy: Path):
    kept, again = held_run(state), held_run(state)
    for held in (kept, again):
        finish(state, held, "failed", failure="error", reason="it broke")
    back_up(state.settings, copy)
    retry(state, again[0])
    assert claim(state) == (again[0], 2)
    state.records.close()
    taken_back(state.settings, copy)

    state = state_of(state.settings)
    assert [found(state, run_id).attempt for run_id, _ in (kept, again)] == [1, 102]
    assert {found(state, run_id).status for run_id, _ in (kept, again)} == {Status.FAILED}
    retry(state, again[0])
    assert claim(state) == (again[0], 103)
    state.records.close()


def test_a_restore_is_undone_by_restoring_what_was_kept(state: State, copy: Path, tmp_path: Path):
    back_up(state.settings, copy)
    held = held_run(state)
    say(state, held, started(), epoch(1))
    state.records.close()
    taken_back(state.settings, copy)

    taken_back(state.settings, tmp_path / KEPT, hours=1)

    again = state_of(state.settings)
    run = found(again, held[0])
    assert (run.status, run.last_epoch, run.attempt) == (Status.QUEUED, 1, 101)
    taken = claim(again)
    assert taken and beat(again, taken) == "none"
    again.records.close()
