"""Plants faults for test_disconnected.py only; every other test passes replacements as arguments."""

from __future__ import annotations

from typing import Any

import pytest


def plant(monkeypatch: pytest.MonkeyPatch, target: str, replacement: Any) -> None:
    """Replace `target` (`package.module.name` or `package.module.Class.name`) until the end of the test."""
    monkeypatch.setattr(target, replacement)
