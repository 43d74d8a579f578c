"""Faults planted on purpose, for test_disconnected.py alone: every other test passes in what it wants otherwise."""

from __future__ import annotations

from typing import Any

import pytest


def plant(monkeypatch: pytest.MonkeyPatch, target: str, replacement: Any) -> None:
    """Until the end of the test, `target` (`package.module.name` or `package.module.Class.name`) is `replacement`."""
    monkeypatch.setattr(target, replacement)
