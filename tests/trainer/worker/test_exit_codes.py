"""The outcome of an attempt by its child's exit code."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from trainer.protocol import RETRYABLE, Ending
from trainer.worker.exit_codes import classify_exit

QUIET: dict[str, Any] = {
    "command": "none", "is_stopping": False, "was_killed": False, "hang": None, "ran_out": False, "batch_size": 512,
}  # fmt: skip


def of(exit_code: int, **changes: Any) -> Ending:
    return classify_exit(exit_code, **(QUIET | changes))


@pytest.mark.parametrize("command", ["none", "pause", "cancel", "cancel_now"])
def test_what_has_finished_has_succeeded_whatever_command_came_meanwhile(command: str):
    assert of(0, command=command).outcome == "succeeded"


@pytest.mark.parametrize(
    ("exit_code", "changes", "outcome", "failure"),
    [
        (75, {"command": "pause"}, "paused", None),
        (75, {"is_stopping": True}, "released", None),
        (75, {}, "released", None),
        (75, {"command": "cancel"}, "cancelled", None),
        (-9, {"command": "cancel", "was_killed": True}, "cancelled", None),
        (-9, {"command": "pause", "was_killed": True}, "paused", None),
        (-9, {"is_stopping": True, "was_killed": True}, "released", None),
        (-15, {"is_stopping": True}, "released", None),
        (-15, {"command": "pause"}, "paused", None),
        (-15, {}, "failed", "killed"),
        (-9, {"hang": "No progress for 90 s.", "was_killed": True}, "failed", "hang"),
        (-9, {}, "failed", "killed"),
        (-11, {}, "failed", "killed"),
        (-9, {"ran_out": True}, "failed", "out_of_host_memory"),
        (1, {}, "failed", None),
        (2, {}, "failed", None),
        (1, {"command": "pause"}, "failed", None),
    ],
)
def test_each_end_has_its_outcome_and_its_name(
    exit_code: int, changes: dict[str, Any], outcome: str, failure: str | None
):
    told = of(exit_code, **changes)
    assert (told.outcome, told.failure, told.exit_code) == (outcome, failure, exit_code)
    assert told.outcome in {"succeeded", "cancelled"} or told.reason


def test_running_out_of_memory_suggests_a_batch_size():
    assert of(-9, ran_out=True).hint == "Try a batch size of 256."
    assert "narrower" in str(of(-9, ran_out=True, batch_size=1).hint)


def test_a_killed_child_is_tried_again_and_one_that_ran_out_of_memory_is_not():
    assert of(-9).failure in RETRYABLE
    assert of(-9, ran_out=True).failure not in RETRYABLE
    assert signal.Signals.SIGKILL.name in str(of(-9).reason)
