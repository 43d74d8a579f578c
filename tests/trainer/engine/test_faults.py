"""Frameworks' errors as failures with hints, and when a loss counts as diverged. Without a framework."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.engine.faults import classify_error
from trainer.failures import Diverged
from trainer.loop.divergence import refuse_broken_state, refuse_diverged, refuse_not_finite
from trainer.recipe import Recipe

# As they were seen: the type's name, the text (shortened), the kind.
SEEN = [
    (
        "ResourceExhaustedError",
        "Graph execution error:\nOut of memory while trying to allocate 8589934592 bytes. [Op:__inference_one_step]",
        "out_of_memory",
    ),
    (
        "ResourceExhaustedError",
        "OOM when allocating tensor with shape[16384,64,32,32] and type float on "
        "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc",
        "out_of_memory",
    ),
    (
        "ResourceExhaustedError",
        "OOM when allocating tensor with shape[16384,64,32,32] and type float on "
        "/job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu",
        "out_of_host_memory",
    ),
    ("InternalError", "Failed to allocate: CUDA_ERROR_OUT_OF_MEMORY: out of memory", "out_of_memory"),
    ("UnknownError", "CUDNN_STATUS_ALLOC_FAILED in tensorflow/stream_executor/cuda/cuda_dnn.cc", "out_of_memory"),
    ("MemoryError", "Unable to allocate 586. GiB for an array", "out_of_host_memory"),
    (
        "InternalError",
        "Could not synchronize CUDA stream: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered",
        "device_lost",
    ),
    ("InternalError", "CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered", "device_lost"),
    ("UnknownError", "CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure", "device_lost"),
    ("FailedPreconditionError", "Device lost.", "device_lost"),
    ("InternalError", "GPU 0000:17:00.0: GPU has fallen off the bus.", "device_lost"),
    ("InternalError", "cudaGetDevice() failed: CUDA_ERROR_NO_DEVICE", "device_lost"),
    ("XlaRuntimeError", "INTERNAL: CUDA_ERROR_DEVICE_UNAVAILABLE: device busy or unavailable", "device_lost"),
    ("InvalidArgumentError", "Incompatible shapes: [32,10] vs. [16,10]", None),
    ("ValueError", "the device of your choice", None),
    ("OSError", "[Errno 28] No space left on device", None),
]


@pytest.mark.parametrize(("type_name", "text", "kind"), SEEN, ids=[f"{kind}-{text[:24]}" for _, text, kind in SEEN])
def test_an_error_of_a_framework_has_the_name_of_its_cause(type_name: str, text: str, kind: str | None):
    failure = classify_error(type_name, text, 512)
    assert (failure.kind if failure else None) == kind
    if failure and "memory" in failure.kind:
        assert failure.hint == "Try a batch size of 256."
    elif failure:
        assert "last checkpoint" in failure.hint


def test_where_no_batch_is_smaller_a_narrower_model_is_offered():
    failure = classify_error("MemoryError", "", 1)
    assert failure is not None
    assert "narrower" in failure.hint


def hot(**knobs: Any) -> Recipe:
    return Recipe.model_validate(knobs)


@pytest.mark.parametrize(
    ("loss", "limit", "diverged"),
    [
        (999.9, 1000.0, False),
        (1000.1, 1000.0, True),
        (1e30, None, False),
        (math.inf, None, True),
        (math.nan, 5.0, True),
    ],
)
def test_a_loss_above_the_recipe_s_limit_counts_as_diverged(loss: float, limit: float | None, diverged: bool):
    recipe = hot(diverges_at=limit)
    if not diverged:
        refuse_diverged(recipe, loss, 0.0, "the loss of epoch 3")
        return
    with pytest.raises(Diverged, match="the loss of epoch 3 is") as caught:
        refuse_diverged(recipe, loss, 0.0, "the loss of epoch 3")
    assert caught.value.kind == "diverged"


def test_a_penalty_that_is_not_finite_counts_and_a_large_one_does_not():
    refuse_diverged(hot(), 2.0, 1e6, "the loss")
    with pytest.raises(Diverged):
        refuse_diverged(hot(), 2.0, math.inf, "the loss")


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"kind": "triangular", "max_lr": 0.4}, "schedule.max_lr 0.2 instead of 0.4"),
        ({"kind": "constant", "lr": 3}, "schedule.lr 1.5 instead of 3"),
        ({"kind": "piecewise", "knots": [[0, 0.1], [5, 0.8], [9, 0]]}, "highest learning rate of 0.4"),
        ({"kind": "slopes"}, "Lower the schedule's highest learning rate"),
        ({"kind": "constant", "lr": 0}, "Lower the schedule's highest learning rate"),
    ],
)
def test_what_to_try_is_a_number_where_there_is_one(schedule: dict[str, Any], words: str):
    with pytest.raises(Diverged) as caught:
        refuse_not_finite(hot(schedule=schedule), math.nan, "the loss")
    assert words in caught.value.hint


def test_a_state_with_something_that_is_not_finite_is_named():
    state: dict[str, NDArray[Any]] = {
        "net/kernel": np.array([1, 2], np.float32),
        "optimizer/iteration": np.asarray(np.int64(3)),
    }
    refuse_broken_state(hot(), state)
    with pytest.raises(Diverged, match="net/beta is not a number"):
        refuse_broken_state(hot(), state | {"net/beta": np.array([1, -np.inf], np.float32)})
