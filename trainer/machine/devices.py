"""The devices of this machine. Must not know runs, HTTP or any ML framework: the app asks, too."""

from __future__ import annotations

import re


def parse_device(text: str) -> str:
    """`text` if it names a device: cpu or gpu:N. Raises ValueError, because a misread name would train on the CPU."""
    if not re.fullmatch(r"cpu|gpu:\d{1,3}", text.strip()):
        raise ValueError(f"{text!r} names no device: cpu, gpu:0, gpu:1 … work")
    return text.strip()


def is_responding(device: str) -> bool:
    """Whether a device is there. A GPU that fell off its bus is listed no more, or cannot be asked its name."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return True
    try:
        import pynvml

        pynvml.nvmlInit()
        pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(int(index)))
        pynvml.nvmlShutdown()
    except Exception:  # whatever NVML says, it is no card to train on
        return False
    return True


def list_devices(visible: str | None) -> list[str]:
    """What this machine offers: `gpu:0`, `gpu:1` … for each visible GPU, or `cpu` where there is none.

    `visible` is the value of CUDA_VISIBLE_DEVICES: indices separated by commas; None lets all be seen.
    """
    try:
        import pynvml

        pynvml.nvmlInit()
        count = int(pynvml.nvmlDeviceGetCount())
        pynvml.nvmlShutdown()
    except Exception:  # no library, no driver, no device: all mean that there is no GPU to use
        count = 0
    found = [f"gpu:{index}" for index in range(count)]
    if visible is not None:
        seen = {one.strip() for one in visible.split(",")}
        found = [device for device in found if device.removeprefix("gpu:") in seen]
    return found or ["cpu"]
