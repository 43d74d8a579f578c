"""Recipes that ship with Pitwall."""

from __future__ import annotations

from trainer.presets.presets import FAMILIES, PRESETS

__all__ = ["FAMILIES", "PRESETS"]
