"""A recipe that a device cannot run is refused before anything is built, with the nearest alternative."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.engine.backend import import_framework
from trainer.failures import OutOfHostMemory, OutOfMemory, RecipeMistake
from trainer.loop.device_fit import choose_precision, device_memory, estimate_step_bytes, refuse_too_large
from trainer.machine.devices import installed_backends
from trainer.models.architectures import build_layers
from trainer.recipe import Recipe

GIB = 2**30
NET = build_layers(Recipe().model, 10)


def test_bfloat16_is_refused_where_the_device_lacks_it_and_chosen_where_it_has_it():
    asked, auto = (Recipe.model_validate({"precision": kind}) for kind in ("bfloat16", "auto"))
    assert choose_precision(asked, "NVIDIA H200", has_bfloat16=True) == "bfloat16"
    assert choose_precision(auto, "NVIDIA H200", has_bfloat16=True) == "bfloat16"
    assert choose_precision(auto, "cpu", has_bfloat16=False) == "float32"
    for device in ("cpu", "Tesla T4"):
        with pytest.raises(RecipeMistake, match="precision: bfloat16 is not available here") as refused:
            choose_precision(asked, device, has_bfloat16=False)
        assert refused.value.hint == "Use float32 or auto."


def test_memory_grows_with_the_batch_the_model_and_its_averages():
    recipe = Recipe()
    few, many = (estimate_step_bytes(NET, recipe, size) for size in (128, 256))
    weights = 6_573_120 * 3 * 4 + 4_480 * 4
    assert many - few == few - weights > 128 * 32 * 32 * 64 * 4
    averaged = Recipe.model_validate({"ema": {}})
    assert estimate_step_bytes(NET, averaged, 128) - few == 6_573_120 * 4
    assert estimate_step_bytes(NET, recipe, 128, "bfloat16") - weights == (few - weights) / 2


@pytest.mark.parametrize(("device", "kind"), [("cpu", OutOfHostMemory), ("NVIDIA H200", OutOfMemory)])
def test_a_batch_that_cannot_fit_is_refused_with_one_that_does(device: str, kind: type[Exception]):
    recipe = Recipe(batch_size=16_384)
    refuse_too_large(NET, recipe, None, device)
    refuse_too_large(NET, recipe, 200 * GIB, device)
    with pytest.raises(kind, match=r"a step on 16384 images takes at least \d+\.\d GiB of memory") as refused:
        refuse_too_large(NET, recipe, 8 * GIB, device)
    hint = refused.value.hint  # type: ignore[attr-defined]
    size = int(hint.removeprefix("Try a batch size of ").removesuffix("."))
    assert estimate_step_bytes(NET, recipe, size) <= 8 * GIB < estimate_step_bytes(NET, recipe, 2 * size)


def test_a_model_whose_weights_alone_do_not_fit_is_to_be_made_narrower():
    with pytest.raises(OutOfMemory) as refused:
        refuse_too_large(NET, Recipe(), 2**20, "NVIDIA H200")
    assert refused.value.hint == "Make the model narrower."


def test_this_machine_has_memory():
    room = device_memory("cpu")
    assert room is not None
    assert room > GIB


def test_a_backend_that_is_not_installed_is_refused_by_name():
    available = installed_backends(find=lambda name: None if name == "jax" else object())
    with pytest.raises(RecipeMistake, match="backend: jax is not installed here") as refused:
        import_framework("jax", available=available)
    assert refused.value.hint == "Install it, or use tensorflow."


@pytest.mark.keras
def test_a_run_that_its_device_cannot_do_ends_at_once_with_a_sentence(tmp_path: Path):
    from trainer.loop.train import train

    recipe = Recipe.model_validate({"precision": "bfloat16", "dataset": {"train_limit": 60}, "batch_size": 30})
    with pytest.raises(RecipeMistake, match="bfloat16 is not available here: a CPU emulates it"):
        train(recipe, lambda event: None, tmp_path, lambda: False)
