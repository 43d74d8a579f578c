"""What a result depends on besides its recipe: versions, commit, device and machine. None if it cannot be read."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = {
    "keras": "keras",
    "tensorflow": "tensorflow",
    "numpy": "numpy",
    "imgaug": "imgaug",
    "opencv": "opencv-python-headless",
}
KEYS = ("python", "pitwall", *PACKAGES, "commit", "device", "driver", "cpu", "cpus", "os")
PACKAGE = Path(__file__).parents[1]


def describe_environment(device: str) -> dict[str, Any]:
    """JSON values only. `device` is the engine's name for it: "cpu" or the GPU's name."""
    return {
        "python": platform.python_version(),
        "pitwall": _pitwall_version(),
        **{name: _version(package) for name, package in PACKAGES.items()},
        "commit": _commit(),
        "device": device,
        "driver": None if device == "cpu" else _driver(),
        "cpu": _cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "os": platform.platform(),
    }


def list_differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One line for each entry that differs and so may change the result of the same recipe."""
    return [
        f"{name}: {_text(now.get(name))}, was {_text(then.get(name))}"
        for name in KEYS
        if now.get(name) != then.get(name)
    ]


def _text(value: Any) -> str:
    return "unknown" if value is None else str(value)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _pitwall_version() -> str | None:
    """Pitwall runs from its checkout, so the version is in pyproject.toml."""
    import tomllib

    try:
        with (PACKAGE.parent / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return None


def _commit() -> str | None:
    """The checkout's commit; in a container, from the file written by the build."""
    with suppress(OSError):
        return (PACKAGE.parent / "COMMIT").read_text().strip() or None
    return _first_line(["git", "-C", str(PACKAGE), "rev-parse", "HEAD"])


def _driver() -> str | None:
    return _first_line(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])


def _first_line(command: list[str]) -> str | None:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = answer.stdout.splitlines()
    return lines[0].strip() if lines else None


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
