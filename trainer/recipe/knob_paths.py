"""The paths of a recipe's settings: `schedule.max_lr`, `augment.2.p`."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from types import NoneType
from typing import Any, get_args, get_origin

from trainer.recipe.knobs import Part
from trainer.recipe.recipe import Recipe

INDEX = re.compile(r"0|[1-9]\d?", re.ASCII)  # in a list


@lru_cache(1000)
def is_knob(path: str) -> bool:
    """Whether any recipe can have a number, a text or a flag at this path."""
    annotations: list[Any] = [Recipe]
    for step in path.split("."):
        annotations = [child for annotation in annotations for child in _children(annotation, step)]
    return any(not _is_container(annotation) for annotation in annotations)


@cache
def titles() -> dict[str, str]:
    """Title of each setting outside lists, by path, in the order of the form."""
    return dict(_list_titles(Recipe, ""))


def _list_titles(part: type[Part], prefix: str) -> list[tuple[str, str]]:
    found = []
    for name, info in part.model_fields.items():
        members = _union_members(info.annotation)
        parts = [member for member in members if _is_part(member)]
        if not parts and not any(get_origin(member) is list for member in members):
            found.append((prefix + name, info.title or name))
        found += [pair for inner in parts for pair in _list_titles(inner, f"{prefix}{name}.")]
    return found


def _children(annotation: Any, step: str) -> list[Any]:
    if get_origin(annotation) is list:
        return _union_members(get_args(annotation)[0]) if INDEX.fullmatch(step) else []
    info = annotation.model_fields.get(step) if _is_part(annotation) else None
    return _union_members(info.annotation) if info else []


def _union_members(annotation: Any) -> list[Any]:
    """The types that a field accepts, without None."""
    if get_origin(annotation) is list or isinstance(annotation, type):
        return [] if annotation is NoneType else [annotation]
    inner = get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _union_members(inner[0])
    if not inner or not any(isinstance(one, type) or get_args(one) for one in inner):
        return [annotation]  # Literal
    return [member for one in inner for member in _union_members(one)]


def _is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Part)


def _is_container(annotation: Any) -> bool:
    return _is_part(annotation) or get_origin(annotation) is list
