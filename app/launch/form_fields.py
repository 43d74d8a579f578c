"""The fields of the recipe form, made from the recipe's own model, and posted fields back as a nested recipe.

A setting that is added to trainer/recipe/recipe.py appears in the form by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from trainer.recipe import Recipe
from trainer.recipe.knobs import Part

TITLES = {"dataset": "Data set", "optimizer": "Optimiser", "ema": "Weight averaging"}
DISCRIMINATORS = ("kind", "op", "name")  # the setting that selects one of several parts
OPTIONAL = {name for name, info in Recipe.model_fields.items() if info.default is None}


@dataclass
class Field:
    """One field of the form."""

    path: str
    title: str
    help: str
    unit: str
    kind: Literal["number", "whole", "check", "choice", "text"]
    value: Any
    default: Any
    choices: list[str] = field(default_factory=list)
    optional: bool = False
    reshapes: bool = False  # another choice has other fields
    error: str | None = None
    range: str = ""  # the allowed values as text; empty if there is no limit


@dataclass
class Section:
    """A group of fields, and the sections inside it."""

    path: str
    title: str
    help: str
    fields: list[Field]
    sections: list[Section] = field(default_factory=list)
    is_list: bool = False
    is_optional: bool = False  # can be removed from the recipe
    is_left_out: bool = False
    error: str | None = None


def build_sections(values: Mapping[str, Any], errors: Mapping[str, str], datasets: list[str]) -> list[Section]:
    """The whole recipe as sections, with the given values, valid or not, and the error of each field."""
    found: list[Section] = []
    training = Section("", "Training", "Duration, batch size, seed, and where it runs.", [])
    for name, info in Recipe.model_fields.items():
        value = values.get(name)
        if info.annotation is not None and get_origin(info.annotation) is list:
            found.append(_list(name, info, value, errors))
        elif (part := _part(info.annotation, value)) is not None:
            found.append(_section(name, part, value, errors, reshapes=len(_parts(info.annotation)) > 1))
            found[-1].is_optional = NoneType in get_args(info.annotation)
            if found[-1].is_optional and value is None:
                found[-1].is_left_out, found[-1].fields = True, []
        else:
            training.fields.append(_field(name, info, value, errors))
    _offer_choices(found, "dataset.name", datasets)
    return [*found, training]


def parse_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    """The form's fields (`augment.0.p` -> "0.5") as a nested recipe. Numbers stay text for validation to parse.

    Missing check boxes are False, empty optional fields are None.
    """
    tree: dict[str, Any] = {}
    for path, text in fields.items():
        at = tree
        *parents, last = path.split(".")
        for step in parents:
            at = at.setdefault(step, {})
            if not isinstance(at, dict):
                break
        else:
            at[last] = text.strip()
    tree.setdefault("augment", {})
    return _read_part(tree, Recipe)


def apply_action(recipe: dict[str, Any], action: str) -> dict[str, Any]:
    """The recipe after a button of the form: `add.flip`, `remove.1`, `up.2`, `down.0` for the augmentation list,
    `with.mixup`, `without.mixup` for an optional part, `seed` for the next seed, `shape` after another kind was chosen.
    """
    verb, _, rest = action.partition(".")
    if verb == "seed":
        seed = str(recipe.get("seed", ""))
        return recipe | {"seed": (int(seed) + 1) % 2**32 if seed.isdecimal() and len(seed) < 11 else 0}
    if verb == "shape":
        return recipe | _drop_other_kinds(recipe)
    if verb in {"with", "without"} and rest in OPTIONAL:
        return recipe | {rest: {} if verb == "with" else None}
    operations = list(recipe.get("augment", []))
    index = int(rest) if rest.isdecimal() and len(rest) < 4 and int(rest) < len(operations) else None
    if verb == "add":
        operations.append({"op": rest})
    elif verb == "remove" and index is not None:
        del operations[index]
    elif verb in {"up", "down"} and index is not None:
        other = index + (1 if verb == "down" else -1)
        if 0 <= other < len(operations):
            operations[index], operations[other] = operations[other], operations[index]
    return recipe | {"augment": operations}


def list_operations() -> list[str]:
    """The operations that the augmentation list can hold."""
    annotation = get_args(Recipe.model_fields["augment"].annotation)[0]
    return [_tag(part) for part in _parts(annotation)]


def _drop_other_kinds(recipe: dict[str, Any]) -> dict[str, Any]:
    """The parts that have several kinds, without the settings of other kinds."""
    found = {}
    for name, info in Recipe.model_fields.items():
        part, value = _part(info.annotation, recipe.get(name)), recipe.get(name)
        if part and len(_parts(info.annotation)) > 1 and isinstance(value, dict):
            found[name] = {key: given for key, given in value.items() if key in part.model_fields}
    return found


def _offer_choices(found: list[Section], path: str, choices: list[str]) -> None:
    """Turn a text field into a choice; a value that is not offered stays selected."""
    for one in (one for section in found for one in section.fields if one.path == path):
        one.kind, one.choices = "choice", choices + [str(one.value)] * (one.value not in choices)


def _range(limits: Mapping[str, float]) -> str:
    if limits.keys() == {"ge", "le"}:
        return f"from {limits['ge']:,} to {limits['le']:,}"
    templates = {"ge": "at least {:,}", "gt": "above {:,}", "le": "at most {:,}", "lt": "below {:,}"}
    return ", ".join(templates[name].format(limits[name]) for name in templates if name in limits)


def _section(path: str, part: type[Part], value: Any, errors: Mapping[str, str], *, reshapes: bool = False) -> Section:
    values = value if isinstance(value, Mapping) else {}
    title = TITLES.get(path) or path.rsplit(".", 1)[-1].replace("_", " ").capitalize()
    section = Section(path, title, (part.__doc__ or "").split("\n")[0], [], error=errors.get(path))
    for name, info in part.model_fields.items():
        inner = _part(info.annotation, values.get(name))
        if inner is not None:
            section.sections.append(_section(f"{path}.{name}", inner, values.get(name), errors))
        else:
            one = _field(f"{path}.{name}", info, values.get(name, info.get_default()), errors)
            if reshapes and name in DISCRIMINATORS:
                one.reshapes = True
                annotation = Recipe.model_fields[path].annotation
                one.choices = [_tag(kind) for kind in _parts(annotation)]
            section.fields.append(one)
    return section


def _list(path: str, info: FieldInfo, value: Any, errors: Mapping[str, str]) -> Section:
    annotation = get_args(info.annotation)[0]
    section = Section(path, info.title or path, info.description or "", [], is_list=True, error=errors.get(path))
    for index, entry in enumerate(value if isinstance(value, list) else []):
        part = _part(annotation, entry)
        if part is None:
            continue
        one = _section(f"{path}.{index}", part, entry, errors)
        one.title = _tag(part).replace("_", " ")
        one.fields = [inner for inner in one.fields if not inner.path.endswith(".op")]
        section.sections.append(one)
    return section


def _field(path: str, info: FieldInfo, value: Any, errors: Mapping[str, str]) -> Field:
    annotation, optional = info.annotation, False
    if NoneType in get_args(annotation):
        annotation, optional = next(one for one in get_args(annotation) if one is not NoneType), True
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    limits = {
        name: getattr(bound, name)
        for bound in info.metadata
        for name in ("ge", "gt", "le", "lt")
        if hasattr(bound, name)
    }
    kinds: dict[Any, Any] = {int: "whole", float: "number", bool: "check"}
    choices = [str(choice) for choice in get_args(annotation)] if get_origin(annotation) is Literal else []
    return Field(
        path=path,
        title=info.title or path,
        help=info.description or "",
        unit=str(extra.get("unit", "")),
        kind="choice" if choices else kinds.get(annotation, "text"),
        value=_text(info.get_default() if value is None and not optional else value),
        default=_text(info.get_default()),
        choices=choices,
        optional=optional,
        range=_range(limits),
        error=errors.get(path) or _nested_error(path, errors),
    )


def _nested_error(path: str, errors: Mapping[str, str]) -> str | None:
    """The first error inside a field that holds a list: `schedule.knots.2` or `schedule.knots.2.0`."""
    for place, sentence in errors.items():
        if place.startswith(f"{path}."):
            return f"{int(place.removeprefix(path).split('.')[1]) + 1}: {sentence}"
    return None


def _text(value: Any) -> Any:
    """Knots as they are typed, `0:0, 5:0.4`; other values unchanged."""
    if not isinstance(value, list):
        return value
    return ", ".join(":".join(map(_shortest, knot)) if isinstance(knot, list) else str(knot) for knot in value)


def _shortest(value: Any) -> str:
    """The shortest text of a number that keeps its value; typed text stays unchanged."""
    short = f"{value:g}" if isinstance(value, float) else str(value).strip()
    return repr(value) if isinstance(value, float) and float(short) != value else short


def _read_part(tree: Any, part: type[Part]) -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {}
    read = dict(tree)
    for name, info in part.model_fields.items():
        if name == "knots" and isinstance(tree.get(name), str):
            read[name] = [knot.split(":") for knot in tree[name].split(",") if knot.strip()]
        elif get_origin(info.annotation) is list and name in tree:
            annotation = get_args(info.annotation)[0]
            entries = tree[name]
            ordered = sorted(entries, key=lambda key: (len(key), key)) if isinstance(entries, dict) else []
            read[name] = [_read_part(entries[key], _part(annotation, entries[key]) or Part) for key in ordered]
        elif name in OPTIONAL and part is Recipe and name not in tree:
            read[name] = None
        elif (inner := _part(info.annotation, tree.get(name))) is not None:
            read[name] = _read_part(tree.get(name, {}), inner)
        elif info.annotation is bool:
            read[name] = name in tree
        elif tree.get(name) == "" and NoneType in get_args(info.annotation):
            read[name] = None
    return read


def _part(annotation: Any, value: Any) -> type[Part] | None:
    """The class of a value: by its discriminator if there are several, by default the first."""
    parts = _parts(annotation)
    if not parts:
        return None
    tags = [value.get(tag) for tag in DISCRIMINATORS] if isinstance(value, Mapping) else []
    return next((part for part in parts if len(parts) > 1 and _tag(part) in tags), parts[0])


def _parts(annotation: Any) -> list[type[Part]]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    given = get_args(annotation) or (annotation,)
    options = [get_args(one)[0] if get_origin(one) is Annotated else one for one in given]
    return [one for one in options if isinstance(one, type) and issubclass(one, Part)]


def _tag(part: type[Part]) -> str:
    name = next(tag for tag in DISCRIMINATORS if tag in part.model_fields)
    return str(part.model_fields[name].get_default())
