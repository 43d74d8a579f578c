"""Every status, failure and outcome has a word on the pages."""

from __future__ import annotations

from typing import get_args

from app.records.models import Status
from app.web.labels import FAILURES, OUTCOMES, STATUSES
from trainer import failures, protocol


def kinds(of: type[failures.CannotTrain]) -> set[str]:
    return {of.kind}.union(*(kinds(one) for one in of.__subclasses__()))


def test_each_failure_that_a_child_or_a_worker_can_name_has_its_words():
    named = kinds(failures.CannotTrain) | {
        protocol.KILLED, protocol.HANG, protocol.LOST, protocol.OUT_OF_HOST_MEMORY, protocol.DEVICE_LOST,
    }  # fmt: skip

    assert named <= set(FAILURES)
    assert named >= protocol.RETRYABLE


def test_each_status_and_outcome_has_its_word():
    assert set(STATUSES) == set(Status)
    assert set(OUTCOMES) == {*get_args(protocol.Outcome), "lost"}
