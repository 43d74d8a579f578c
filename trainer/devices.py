"""The devices of this machine. Must not know runs, HTTP or any ML framework: the app asks, too."""

from __future__ import annotations


def devices(visible: str | None) -> list[str]:
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
    named = [f"gpu:{index}" for index in range(count)]
    if visible is not None:
        named = [device for device in named if device.removeprefix("gpu:") in visible.split(",")]
    return named or ["cpu"]
