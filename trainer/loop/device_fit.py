"""Checks before anything is built that a device can run a recipe: its precision, and its memory.

The memory estimate is a lower bound: weights with their gradients, momenta and averages, and for each image of a batch
the activations that the backward pass needs and that are not recomputed. A recipe that passes may still run out.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from trainer.failures import CannotTrain, OutOfHostMemory, OutOfMemory, RecipeMistake
from trainer.models.layers import Layer
from trainer.models.norms import find_recomputable
from trainer.recipe import Recipe

Precision = Literal["float32", "bfloat16"]

FLOAT_BYTES = 4
INPUT_SAVING_LAYERS = {"conv", "batch_norm", "dense"}  # kinds of layers whose input the backward pass needs
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def choose_precision(recipe: Recipe, device: str, *, has_bfloat16: bool) -> Precision:
    """The dtype of convolutions. Raises RecipeMistake if the recipe asks for one that the device lacks."""
    if recipe.precision == "bfloat16" and not has_bfloat16:
        words = "a CPU emulates it, many times slower" if device == "cpu" else f"{device} lacks it"
        raise RecipeMistake(f"precision: bfloat16 is not available here: {words}", "Use float32 or auto.")
    if recipe.precision == "auto":
        return "bfloat16" if has_bfloat16 else "float32"
    return recipe.precision


def estimate_step_bytes(layers: Sequence[Layer], recipe: Recipe, batch: int, precision: str = "float32") -> int:
    """Lower bound in bytes for a step on `batch` images. `precision`: of the activations between the layers."""
    by_name = {layer.name: layer for layer in layers}
    copies = 3 + (1 if recipe.ema else 0)  # weight, gradient, momentum, average
    weights = sum(layer.trainable * copies + layer.frozen for layer in layers) * FLOAT_BYTES
    again = find_recomputable(layers)
    keeping = (
        layer for layer in layers if layer.kind in INPUT_SAVING_LAYERS and layer.trainable and layer.name not in again
    )
    held = sum(_size(by_name[layer.inputs[0]]) for layer in keeping)
    return weights + batch * held * (2 if precision == "bfloat16" else FLOAT_BYTES)


def refuse_too_large(
    layers: Sequence[Layer], recipe: Recipe, available: int | None, device: str, precision: str = "float32"
) -> None:
    """Raises OutOfMemory (on a CPU: OutOfHostMemory) if a step needs more than `available` bytes. None: unknown."""
    if available is None or (least := estimate_step_bytes(layers, recipe, recipe.batch_size, precision)) <= available:
        return
    fits = next(
        (
            size
            for size in _smaller_batches(recipe.batch_size)
            if estimate_step_bytes(layers, recipe, size, precision) <= available
        ),
        None,
    )
    hint = f"Try a batch size of {fits}." if fits else "Make the model narrower."
    kind: type[CannotTrain] = OutOfHostMemory if device == "cpu" else OutOfMemory
    text = f"a step on {recipe.batch_size} images takes at least {_format_bytes(least)} of memory, and {device} has"
    raise kind(f"{text} {_format_bytes(available)}", hint)


def device_memory(device: str) -> int | None:
    """Total bytes of the device's memory, or of this machine's for a CPU; None if unknown."""
    return _host_memory() if device == "cpu" else _card_memory()


def _host_memory() -> int | None:
    found: list[int] = []
    with suppress(OSError, ValueError):  # "max": no limit
        found.append(int(CGROUP_LIMIT.read_text()))
    with suppress(OSError, ValueError, IndexError):
        line = next(one for one in Path("/proc/meminfo").read_text().splitlines() if one.startswith("MemTotal"))
        found.append(int(line.split()[1]) * 1024)
    return min(found, default=None)


def _card_memory() -> int | None:
    """The largest GPU's: only the worker knows which of several this process was given."""
    with suppress(Exception):  # no driver, library or GPU: then nothing is refused
        import pynvml

        pynvml.nvmlInit()
        cards = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return max(int(pynvml.nvmlDeviceGetMemoryInfo(card).total) for card in cards)
    return None


def _smaller_batches(batch: int) -> Sequence[int]:
    return [batch >> shift for shift in range(1, batch.bit_length())]


def _size(layer: Layer) -> int:
    size = 1
    for side in layer.shape:
        size *= side
    return size


def _format_bytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
