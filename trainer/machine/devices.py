"""The devices of this machine, and the backends of Keras that are installed on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec


def parse_device(text: str) -> str:
    """Return a valid device name: cpu or gpu:N. Raises ValueError: a misread name would train on the CPU."""
    if not re.fullmatch(r"cpu|gpu:\d{1,3}", text.strip()):
        raise ValueError(f"{text!r} is not a device: use cpu, gpu:0, gpu:1 …")
    return text.strip()


def is_responding(device: str) -> bool:
    """Whether the device responds. A GPU that has failed is no longer listed, or its queries fail."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return True
    try:
        import pynvml

        pynvml.nvmlInit()
        pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(int(index)))
        pynvml.nvmlShutdown()
    except Exception:  # any NVML error means that the GPU is unusable
        return False
    return True


def list_devices(visible: str | None) -> list[str]:
    """`gpu:0`, `gpu:1` … for each visible GPU, or `cpu` if there is none.

    `visible` is the value of CUDA_VISIBLE_DEVICES: indices separated by commas; None: all are visible.
    """
    try:
        import pynvml

        pynvml.nvmlInit()
        count = int(pynvml.nvmlDeviceGetCount())
        pynvml.nvmlShutdown()
    except Exception:  # no library, no driver or no device
        count = 0
    found = [f"gpu:{index}" for index in range(count)]
    if visible is not None:
        seen = {one.strip() for one in visible.split(",")}
        found = [device for device in found if device.removeprefix("gpu:") in seen]
    return found or ["cpu"]


BACKENDS = {"tensorflow": "TensorFlow", "jax": "Jax"}  # by name, the class in trainer/engine/NAME.py


def installed_backends(find: Callable[[str], object] = find_spec) -> list[str]:
    """Names of the backends whose packages `find` finds here."""
    return [name for name in BACKENDS if find(name) is not None]
