"""What a child writes, as a worker brings it home: odd bytes, endless lines, garbage among the events."""

from __future__ import annotations

from pathlib import Path

import httpx2

from tests.app.support.cast import Site
from tests.app.workers.worker_stage import epochs_of, played, run_of


def test_a_log_that_is_no_utf_8_and_has_endless_lines_is_kept_readable(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = played(site, tmp_path, "broken")

    log = http.get(f"/api/v1/runs/{run_id}/log").text
    assert run_of(http, run_id)["status"] == "succeeded"
    assert log.startswith("größer \ufffd\ufffd\ufffd \ufffd")
    assert "\nnext\n" in log
    assert log.endswith("x\nafter the long line\n")
    assert log.count("x") == 3_000_001  # one is in "next"
    assert http.get(f"/runs/{run_id}").status_code == 200


def test_a_log_of_ten_mebibytes_is_cut_and_says_so(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = played(site, tmp_path, "flood")

    log = http.get(f"/api/v1/runs/{run_id}/log").text
    assert run_of(http, run_id)["status"] == "succeeded"
    assert 8 * 2**20 <= len(log) < 8 * 2**20 + 200_000
    assert log.endswith("… the log is cut here, at 8 MiB\n")


def test_garbage_among_the_events_goes_to_the_log(site: Site, http: httpx2.Client, tmp_path: Path):
    run_id = played(site, tmp_path, "garbage")

    log = http.get(f"/api/v1/runs/{run_id}/log").text
    assert (run_of(http, run_id)["status"], epochs_of(http, run_id)) == ("succeeded", [1])
    for words in ("a library wrote this", "[1, 2", "\ufffd\ufffd"):
        assert words in log


def test_an_event_that_the_app_cannot_read_does_not_lose_those_after_it(
    site: Site, http: httpx2.Client, tmp_path: Path
):
    run_id = played(site, tmp_path, "poison")

    assert (run_of(http, run_id)["status"], epochs_of(http, run_id)) == ("succeeded", [1])
