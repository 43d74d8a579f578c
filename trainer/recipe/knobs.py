"""Settings of a recipe: pydantic fields with a title, a help text and a unit; merging and error messages."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError


def knob(default: Any, title: str, help: str, *, unit: str = "", **limits: Any) -> Any:  # noqa: A002
    """A setting: `title` labels it in the form, `help` says what it does, `limits` are pydantic's."""
    return Field(default, title=title, description=help, json_schema_extra={"unit": unit}, **limits)


# by pydantic's error type; each says what is allowed, not what failed
MESSAGES = {
    "extra_forbidden": "there is no such setting",
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
    "model_type": "must be an object with settings",
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
    """Base of the recipe and its parts: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


# Parts whose other settings no longer apply when this key changes.
REPLACED_BY_KEY = {"schedule": "kind", "model": "name", "dataset": "name"}


def merge(base: dict[str, Any], partial: dict[str, Any]) -> dict[str, Any]:
    """Merge a partial recipe into a complete one, key by key. Neither argument is changed.

    Lists are replaced; `null` is a value; a schedule of another `kind`, or a model or data set of another `name`,
    replaces the whole part (its missing settings get their defaults, not the base's values).
    """
    kept = {
        key: value
        for key, value in base.items()
        if key not in REPLACED_BY_KEY or not _is_different(value, partial.get(key), by=REPLACED_BY_KEY[key])
    }
    return _merge_dicts(kept, partial)


def list_errors(error: ValidationError) -> list[tuple[str, str]]:
    """(path, message) of each error, the path as a user writes it: `schedule.max_lr`, `augment.2.s_h`."""
    return [(_path(problem["loc"]), _message(dict(problem))) for problem in error.errors(include_url=False)]


def error_at(loc: tuple[int | str, ...], message: str) -> ValidationError:
    """For validators to raise about a place inside their field: `(2,)` in a list, `(2, "crop", "size")`."""
    details = InitErrorDetails(
        type=PydanticCustomError("recipe_error", "{message}", {"message": message}), loc=loc, input=None
    )
    return ValidationError.from_exception_data("recipe", [details])


def check_not_below(value: float, other: str, info: ValidationInfo) -> float:
    """Return `value`. Raises ValueError if it is below the field named `other`."""
    if other in info.data and value < info.data[other]:
        raise ValueError(f"must not be below {other} ({info.data[other]:g})")
    return value


def _merge_dicts(base: dict[str, Any], partial: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in partial.items():
        old = merged.get(key)
        merged[key] = _merge_dicts(old, value) if isinstance(value, dict) and isinstance(old, dict) else value
    return merged


def _is_different(old: Any, new: Any, *, by: str) -> bool:
    return isinstance(old, dict) and isinstance(new, dict) and by in new and new[by] != old.get(by)


def _path(loc: tuple[int | str, ...]) -> str:
    """Drop the union tags that pydantic puts after `schedule`, `model` and each index of `augment`."""
    steps: list[str] = []
    for index, step in enumerate(loc):
        before = loc[index - 1] if index else None
        is_tag = before in {"schedule", "model"} or (isinstance(before, int) and steps and steps[0] == "augment")
        if not is_tag:
            steps.append(str(step))
    return ".".join(steps)


def _message(problem: dict[str, Any]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in MESSAGES:
        return MESSAGES[kind].format(**{key: _drop_zero_decimals(value) for key, value in context.items()})
    if kind == "value_error":
        return str(context["error"])
    if kind == "recipe_error":
        return str(context["message"])
    message = str(problem["msg"])
    return message[:1].lower() + message[1:]


def _drop_zero_decimals(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
