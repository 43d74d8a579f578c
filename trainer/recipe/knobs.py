"""What a knob is: pydantic's field with a title, a help sentence and a unit; merging and checking of knobs.

Must not know what the knobs do (recipe.py), any ML framework, or the app.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError


def knob(default: Any, title: str, help: str, *, unit: str = "", **limits: Any) -> Any:  # noqa: A002
    """A recipe field: `title` labels it in the form, `help` says what it does, `limits` are pydantic's."""
    return Field(default, title=title, description=help, json_schema_extra={"unit": unit}, **limits)


# pydantic's findings in the words of the form: what works, not what failed
SENTENCES = {
    "extra_forbidden": "there is no such knob",
    "missing": "is missing",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "model_type": "must be an object with knobs",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be above {gt}",
    "less_than": "must be below {lt}",
    "literal_error": "must be {expected}",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "must say which kind it is",
    "string_pattern_mismatch": "must be digits, cifar10, cifar100 or folder:NAME",
}


class Part(BaseModel):
    """Base of the recipe and of its parts: unknown keys are errors, nothing changes after it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


# The key whose change makes a part another thing, so that the base's knobs no longer apply to it.
REPLACED_WHOLE = {"schedule": "kind", "model": "name", "dataset": "name"}


def merge(base: dict[str, Any], partial: dict[str, Any]) -> dict[str, Any]:
    """Lay a partial recipe over a complete one, key by key. Neither argument is changed.

    Lists replace; `null` is a value; a schedule of another `kind`, a model or data set of another `name`
    replaces the whole part (its other knobs fall back to their defaults, not to the base's).
    """
    kept = {
        key: value
        for key, value in base.items()
        if key not in REPLACED_WHOLE or not _is_another(value, partial.get(key), by=REPLACED_WHOLE[key])
    }
    return _laid_over(kept, partial)


def mistakes(error: ValidationError) -> list[tuple[str, str]]:
    """(path, sentence) for each mistake, the path as a user writes it: `schedule.max_lr`, `augment.2.s_h`."""
    return [(_path(problem["loc"]), _sentence(dict(problem))) for problem in error.errors(include_url=False)]


def mistake_at(loc: tuple[int | str, ...], sentence: str) -> ValidationError:
    """What a validator raises to name a place below its own field: `(2,)` in a list, `(2, "crop", "size")`."""
    found = InitErrorDetails(
        type=PydanticCustomError("mistake", "{sentence}", {"sentence": sentence}), loc=loc, input=None
    )
    return ValidationError.from_exception_data("recipe", [found])


def _laid_over(base: dict[str, Any], partial: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in partial.items():
        old = merged.get(key)
        merged[key] = _laid_over(old, value) if isinstance(value, dict) and isinstance(old, dict) else value
    return merged


def _is_another(old: Any, new: Any, *, by: str) -> bool:
    return isinstance(old, dict) and isinstance(new, dict) and by in new and new[by] != old.get(by)


def not_below(value: float, other: str, info: ValidationInfo) -> float:
    if other in info.data and value < info.data[other]:
        raise ValueError(f"must not be below {other} ({info.data[other]:g})")
    return value


def _path(loc: tuple[int | str, ...]) -> str:
    """Drop the union tags that pydantic puts after `schedule`, `model` and each index of `augment`."""
    steps: list[str] = []
    for index, step in enumerate(loc):
        before = loc[index - 1] if index else None
        is_tag = before in {"schedule", "model"} or (isinstance(before, int) and steps and steps[0] == "augment")
        if not is_tag:
            steps.append(str(step))
    return ".".join(steps)


def _sentence(problem: dict[str, Any]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in SENTENCES:
        return SENTENCES[kind].format(**{key: _plain(value) for key, value in context.items()})
    if kind == "value_error":
        return str(context["error"])
    if kind == "mistake":
        return str(context["sentence"])
    message = str(problem["msg"])
    return message[:1].lower() + message[1:]


def _plain(value: Any) -> Any:
    """0.0 is 0 to a reader."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
