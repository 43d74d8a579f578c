"""Whether a device can do a recipe at all, found out before anything is built: its precision, and room in its memory.

The memory is a lower bound. What is counted must be there at once whatever the framework does: the weights with their
gradients, momenta and averages, and of each picture of a batch what the backward pass needs and nobody makes again. A
recipe that passes may still run out. Must not know any ML framework.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from trainer.failures import CannotTrain, OutOfHostMemory, OutOfMemory, RecipeMistake
from trainer.models.layers import Layer
from trainer.models.norms import remakable
from trainer.recipe import Recipe

Precision = Literal["float32", "bfloat16"]

FLOAT_BYTES = 4  # bytes of a weight
INPUT_SAVING_LAYERS = {"conv", "batch_norm", "dense"}  # layers whose input the backward pass looks at
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def choose_precision(recipe: Recipe, device: str, *, has_bfloat16: bool) -> Precision:
    """What convolutions compute in. Raises RecipeMistake where the recipe asks for what the device lacks."""
    if recipe.precision == "bfloat16" and not has_bfloat16:
        words = "a CPU emulates it, many times slower" if device == "cpu" else f"{device} lacks it"
        raise RecipeMistake(f"precision: bfloat16 is not to be had here: {words}", "Take float32, or auto.")
    if recipe.precision == "auto":
        return "bfloat16" if has_bfloat16 else "float32"
    return recipe.precision


def estimate_step_bytes(layers: Sequence[Layer], recipe: Recipe, batch: int, precision: str = "float32") -> int:
    """Bytes at least, of a step on `batch` pictures. `precision`: of what stands between the layers."""
    by_name = {layer.name: layer for layer in layers}
    copies = 3 + (1 if recipe.ema else 0)  # weight, gradient, momentum, average
    weights = sum(layer.trainable * copies + layer.frozen for layer in layers) * FLOAT_BYTES
    again = remakable(layers)
    keeping = (
        layer for layer in layers if layer.kind in INPUT_SAVING_LAYERS and layer.trainable and layer.name not in again
    )
    held = sum(_size(by_name[layer.inputs[0]]) for layer in keeping)
    return weights + batch * held * (2 if precision == "bfloat16" else FLOAT_BYTES)


def refuse_too_large(
    layers: Sequence[Layer], recipe: Recipe, room: int | None, device: str, precision: str = "float32"
) -> None:
    """Raises OutOfMemory (of a CPU: OutOfHostMemory) where a step takes more than `room` bytes. None: not known."""
    if room is None or (least := estimate_step_bytes(layers, recipe, recipe.batch_size, precision)) <= room:
        return
    fits = next(
        (
            size
            for size in _smaller_batches(recipe.batch_size)
            if estimate_step_bytes(layers, recipe, size, precision) <= room
        ),
        None,
    )
    hint = f"Try a batch size of {fits}." if fits else "Make the net narrower."
    kind: type[CannotTrain] = OutOfHostMemory if device == "cpu" else OutOfMemory
    text = f"a step on {recipe.batch_size} pictures takes at least {_format_bytes(least)} of memory, and {device} has"
    raise kind(f"{text} {_format_bytes(room)}", hint)


def device_memory(device: str) -> int | None:
    """Bytes of the device's memory in all, or of this machine's where it is a CPU; None: nobody says."""
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
    """The largest card's: which one of several this process was given, only its worker knows."""
    with suppress(Exception):  # no driver, no library, no card: then nothing is refused
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
