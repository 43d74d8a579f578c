"""Recipes as rows of knobs, and what differs between several. Pure functions. Must not know HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOT_THERE = object()  # this recipe has no such knob
LABELS = {"seed", "target_accuracy"}  # change no result of a recipe, or are what repeats differ in


def flat(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """A nested recipe as (path, value), in its own order. An empty list is one row, "none"; null a dash."""
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in flat(inner, f"{path}.{key}".strip("."))]
    if isinstance(value, list):
        return [row for index, inner in enumerate(value) for row in flat(inner, f"{path}.{index}")] or [(path, "none")]
    return [(path, "–" if value is None else value)]


def differing(recipes: Sequence[Mapping[str, Any]], without: Iterable[str] = LABELS) -> list[tuple[str, list[Any]]]:
    """(path, value in each recipe) of the knobs that are not the same in all; NOT_THERE where one has no such knob."""
    rows = [dict(flat(recipe)) for recipe in recipes]
    paths = {path: None for row in rows for path in row if path not in set(without)}
    found = [(path, [row.get(path, NOT_THERE) for row in rows]) for path in paths]
    return [(path, values) for path, values in found if any(value != values[0] for value in values)]
