"""The three clocks of a run, and its model FLOPs utilisation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.metrics.images_trained import images_per_epoch, images_per_epoch_of
from app.runs import responses, runs
from app.runs.schemas import ClocksResponse
from app.web.deps import State
from app.web.templates import percent
from app.workers import queue, reports
from tests.app.support.cast import NOW, Hand, epoch, events, launch, started, trained
from tests.app.support.queue_verbs import rescue
from trainer.augment.selections import list_selections
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import steps_per_epoch

GPU: dict[str, Any] = {"environment": {"device": "GPU one", "precision": "bfloat16"}}
KNOWN: dict[str, Any] = GPU | {"training_flops": 1_000_000, "peak_flops": 1e10, "peak_source": "datasheet"}
COLD: dict[str, Any] = KNOWN | {"compile_cache": "empty", "startup_seconds": 3.5}


def claimed(state: State, after: float = 0.0) -> tuple[int, int]:
    with state.records.write() as session:
        who = queue.ClaimingWorker("ada", "cpu", ["tensorflow"])
        run = queue.claim(session, who, NOW + timedelta(seconds=after))
        assert run
        return run.id, run.attempt


def said(state: State, held: tuple[int, int], *some: dict[str, Any]) -> None:
    with state.records.write() as session:
        reports.store_report(session, *held, 0, events(*some), NOW)


def ended(state: State, held: tuple[int, int], after: float, outcome: Any = "succeeded") -> None:
    with state.records.write() as session:
        queue.finish(session, *held, outcome, NOW + timedelta(seconds=after))


def of(state: State, run_id: int) -> ClocksResponse:
    with state.records.read() as session:
        return responses.run_response(session, runs.find(session, run_id), state.hub, state.leases).clocks


def whole(state: State, **more: Any) -> ClocksResponse:
    """Of a run of two epochs of 2 s each, 10 s from claim to result."""
    launch(state)
    held = claimed(state)
    said(state, held, started(**more), epoch(1), epoch(2))
    ended(state, held, 10.0)
    return of(state, held[0])


@pytest.mark.parametrize("cache", ["empty", "off"])
def test_a_new_process_without_compiled_programs_has_all_three_clocks(state: State, cache: str):
    found = whole(state, **COLD | {"compile_cache": cache})

    assert (found.train_seconds, found.job_seconds, found.cold_seconds) == (4.0, 10.0, 10.0)
    assert (found.job_remark, found.cold_remark, found.startup_seconds) == (None, None, 3.5)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"compile_cache": "empty", "is_warm": True}, "the process was started before the claim"),
        ({"compile_cache": "used"}, "compiled programs of earlier runs were used"),
        ({"compile_cache": "used", "is_warm": True}, "the process was started before the claim"),
        ({}, "the trainer did not report the state of its compile cache"),
    ],
)
def test_a_start_that_was_not_cold_has_no_cold_seconds(state: State, more: dict[str, Any], words: str):
    found = whole(state, **more)

    assert (found.job_seconds, found.cold_seconds, found.cold_remark) == (10.0, None, words)


def test_job_seconds_of_a_resumed_run_cover_the_last_attempt_only(state: State):
    run_id = launch(state)
    first = claimed(state)
    said(state, first, started(**COLD), epoch(1), epoch(2))
    rescue(state, first)
    second = claimed(state, after=100.0)
    said(state, second, started(**COLD, resumed_from_epoch=1), epoch(2, seconds=3.0))

    under_way = of(state, run_id)
    assert (under_way.job_seconds, under_way.job_remark, under_way.cold_remark) == (
        None,
        *["known when the run ends"] * 2,
    )
    assert (under_way.mfu, under_way.mfu_remark[:23]) == (None, "known when the run ends")

    ended(state, second, 107.0)
    found = of(state, run_id)
    assert (found.train_seconds, found.job_seconds, found.cold_seconds) == (5.0, 7.0, None)
    assert found.job_remark == "attempt 2 only, resumed after epoch 1"
    assert found.cold_remark == "the run was resumed"
    assert found.pictures == 2 * 1497


def test_the_remark_says_whether_the_attempt_resumed_within_an_epoch(state: State):
    for more, words in (
        ({"resumed_at_step": 7}, "attempt 2 only, resumed within epoch 1"),
        ({}, "attempt 2 only"),
    ):
        run_id = launch(state)
        rescue(state, claimed(state))
        held = claimed(state)
        said(state, held, started(**COLD, **more), epoch(1))
        ended(state, held, 5.0)
        assert of(state, run_id).job_remark == words


def test_a_run_without_a_result_has_no_job_seconds(state: State):
    launch(state)
    held = claimed(state)
    assert of(state, held[0]).mfu_remark == "known after the first epoch"
    said(state, held, started(**COLD), epoch(1))
    ended(state, held, 10.0, "cancelled")

    found = of(state, held[0])
    assert (found.job_seconds, found.cold_seconds) == (None, None)
    assert found.job_remark == found.cold_remark == "no result"
    assert found.mfu == pytest.approx(1e6 * 1497 / 2.0 / 1e10), "its epochs were trained all the same"


def test_mfu_is_the_operations_done_over_those_that_the_device_could_do(state: State):
    found = whole(state, **COLD)

    assert found.pictures == 2 * 1497
    assert found.mfu == pytest.approx(1_000_000 * 2 * 1497 / 4.0 / 1e10)
    assert found.mfu_remark == "of the device's peak (datasheet)"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (KNOWN | {"peak_flops": None}, "the peak of the device is unknown"),
        (KNOWN | {"training_flops": None}, "the trainer did not report the operations per image"),
        (GPU, "the peak of the device is unknown"),
        (KNOWN | {"peak_source": "measured"}, "the peak of the device is unknown"),
        (KNOWN | {"peak_flops": 1e6}, "not shown: the run was faster than the peak in the data sheet"),
    ],
)
def test_mfu_is_unknown_if_one_of_its_parts_is(state: State, more: dict[str, Any], words: str):
    found = whole(state, **more)

    assert (found.mfu, found.mfu_remark) == (None, words)


def test_a_run_of_an_earlier_version_with_a_peak_measured_on_a_cpu_has_no_mfu(state: State):
    slow = {"training_flops": 2_000_000_000, "peak_flops": 4.8e9, "peak_source": "measured"}
    found = whole(state, **slow, environment={"device": "cpu", "cpu": "EPYC"})

    assert (found.mfu, found.mfu_remark) == (None, "not known on a CPU: no data sheet states its peak")


@pytest.mark.parametrize("other", [{"device": "GPU two"}, {"device": "GPU one", "precision": "float32"}])
def test_mfu_is_unknown_for_attempts_on_different_devices_or_in_different_precisions(
    state: State, other: dict[str, Any]
):
    run_id = launch(state)
    first = claimed(state)
    said(state, first, started(**COLD), epoch(1))
    rescue(state, first)
    second = claimed(state)
    said(state, second, started(**COLD | {"environment": other, "resumed_from_epoch": 1}), epoch(2))
    ended(state, second, 9.0)

    words = "the attempts ran on different devices or in different precisions"
    assert (of(state, run_id).mfu, of(state, run_id).mfu_remark) == (None, words)


@pytest.mark.parametrize(
    ("recipe", "pictures"),
    [
        ({"batch_size": 100}, 1497),
        ({"batch_size": 100, "last_batch": "drop"}, 1400),
        ({"batch_size": 100, "mixup": {"pairing": "permute"}}, 1497),
        ({"batch_size": 100, "mixup": {"pairing": "permute"}, "last_batch": "drop"}, 1400),
        ({"batch_size": 100, "mixup": {"pairing": "disjoint"}}, 700),  # two batches make one
    ],
)
def test_trained_images_are_counted_exactly(recipe: dict[str, Any], pictures: int):
    made = Recipe.model_validate(recipe)

    assert images_per_epoch(made.model_dump(mode="json"), 1497, steps_per_epoch(made, 1497)) == pictures
    assert images_per_epoch_of(made, 1497) == pictures
    assert sum(map(len, list_selections(made, 1497, 1))) == pictures, "as the trainer's live rate counts them"


def test_recipes_and_reports_of_older_versions_are_read(client: TestClient, state: State):
    run_id = trained(client, state)
    found = client.get(f"/api/v1/runs/{run_id}").json()["clocks"]

    assert found["job_seconds"] >= 0 and found["cold_seconds"] is None
    assert images_per_epoch({"batch_size": 50}, 90, 2) == 90


def test_the_page_of_a_run_shows_them(client: TestClient, state: State):
    client.post("/api/v1/runs", json={"recipe": {"epochs": 2}}).raise_for_status()
    assert "Cold seconds" not in client.get("/runs/1").text, "nobody has claimed it"
    hand = Hand(client, state)
    assert hand.claim()
    assert "known after the first epoch" in client.get("/runs/1").text
    hand.say(started(**COLD, is_warm=True), epoch(1), epoch(2))
    hand.finish()

    page = client.get("/runs/1").text
    assert "from claim to result" in page
    assert "not measured: the process was started before the claim" in page
    assert percent(1e6 * 2 * 1497 / 4.0 / 1e10) in page and "of the device&#39;s peak (datasheet)" in page
