"""Which knobs a recipe can have, as paths: `schedule.max_lr`, `augment.2.p`. Must not know what they do."""

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
    """Whether some recipe has a number, a word or a switch there."""
    places: list[Any] = [Recipe]
    for step in path.split("."):
        places = [inner for place in places for inner in _below(place, step)]
    return any(not _is_whole(place) for place in places)


@cache
def titles() -> dict[str, str]:
    """Title of each knob that is in no list, by path, in the order of the form."""
    return dict(_titled(Recipe, ""))


def _titled(part: type[Part], before: str) -> list[tuple[str, str]]:
    found = []
    for name, info in part.model_fields.items():
        inner = [one for one in _kinds(info.annotation) if _is_part(one)]
        if not inner and not any(get_origin(one) is list for one in _kinds(info.annotation)):
            found.append((before + name, info.title or name))
        found += [pair for one in inner for pair in _titled(one, f"{before}{name}.")]
    return found


def _below(place: Any, step: str) -> list[Any]:
    if get_origin(place) is list:
        return _kinds(get_args(place)[0]) if INDEX.fullmatch(step) else []
    info = place.model_fields.get(step) if _is_part(place) else None
    return _kinds(info.annotation) if info else []


def _kinds(annotation: Any) -> list[Any]:
    """What a field may hold, unions taken apart."""
    if get_origin(annotation) is list or isinstance(annotation, type):
        return [] if annotation is NoneType else [annotation]
    inner = get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _kinds(inner[0])
    if not inner or not any(isinstance(one, type) or get_args(one) for one in inner):
        return [annotation]  # Literal
    return [kind for one in inner for kind in _kinds(one)]


def _is_part(place: Any) -> bool:
    return isinstance(place, type) and issubclass(place, Part)


def _is_whole(place: Any) -> bool:
    return _is_part(place) or get_origin(place) is list
