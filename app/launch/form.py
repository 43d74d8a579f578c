"""What a browser sent of the recipe form, and the form as a template wants it. The same for every page that has one.

Must not know routes, or which knobs there are (forms.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import Request

from app.launch import form_fields, sweeps
from app.launch.sweeps import SHAPES
from app.records.models import Run
from app.runs.recipes import Resolved, resolve
from trainer.data import datasets
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.knob_paths import titles
from trainer.recipe.knobs import merge

LABELS = {f"label.{name}": name for name in ("name", "repeats", "tags", "notes", "priority")}
WHOLE = {"repeats", "priority"}
SWEEP = [(f"sweep.{number}.knob", f"sweep.{number}.values") for number in range(sweeps.MAX_KNOBS)]
OWN = {"preset", "parent", "do", "listed"} | set(LABELS) | {name for row in SWEEP for name in row}


@dataclass(frozen=True)
class Posted:
    """The recipe as a nested dict whose numbers may still be text, the labels, and where it began."""

    recipe: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)
    preset: str | None = None
    parent: int | None = None
    do: str = ""  # the button inside the form that was pressed
    sweep: tuple[tuple[str, str], ...] = ()  # (knob, values) as they were typed
    listed: str = ""  # the sweep whose runs were shown before this was sent
    is_form: bool = True  # missing boxes are off, so that nothing at all would be a whole recipe

    def resolved(self, datasets_dir: Path) -> Resolved:
        """The complete recipe. Raises InvalidRecipe."""
        return resolve(self.preset, self.recipe, datasets_dir, strict=False)


async def posted(request: Request) -> Posted:
    """Read the form; files and repeated names are not ours."""
    form = await request.form(max_fields=500)
    fields = {key: value for key, value in form.items() if isinstance(value, str)}
    parent, preset = fields.get("parent", ""), fields.get("preset")
    return Posted(
        form_fields.from_text({key: value for key, value in fields.items() if key not in OWN}),
        {short: fields[key] for key, short in LABELS.items() if key in fields},
        preset if preset in PRESETS else None,
        int(parent) if parent.isdecimal() and len(parent) < 19 else None,
        fields.get("do", ""),
        tuple((fields.get(knob, ""), fields.get(values, "")) for knob, values in SWEEP),
        fields.get("listed", ""),
        "epochs" in fields,
    )


def tags_of(text: str) -> list[str]:
    """Typed with commas between them."""
    return [tag.strip() for tag in text.split(",") if tag.strip()]


def lines_of(text: str) -> str:
    """A text area's text: browsers send CRLF."""
    return text.replace("\r\n", "\n")


def of_preset(name: str) -> Posted:
    return Posted(PRESETS[name].recipe.model_dump(mode="json"), preset=name)


def of_run(run: Run) -> Posted:
    """To be launched again: the run's complete recipe, with what this version knows and it did not."""
    labels = {"tags": ", ".join(run.tags), "name": f"{run.name} again"[:200], "priority": str(run.priority)}
    recipe = Recipe.model_validate(run.recipe).model_dump(mode="json")
    return Posted(recipe, labels, run.preset if run.preset in PRESETS else None, run.id)


def pressed(form: Posted) -> Posted:
    """The form after its button: another shape, another seed, or the fix of a warning laid over it."""
    verb, _, rest = form.do.partition(".")
    if verb == "fix":
        return replace(form, recipe=merge(form.recipe, _fix(rest)))
    return replace(form, recipe=form_fields.reshaped(form.recipe, form.do))


def shown(form: Posted, datasets_dir: Path, errors: Mapping[str, str] | None = None) -> dict[str, Any]:
    """For the template `launch/_form.html`."""
    errors = errors or {}
    names = [info.name for info in datasets.describe(datasets_dir)]
    return {
        "preset": form.preset,
        "parent": form.parent,
        "errors": errors,
        "labels": _label_fields(form.labels, errors),
        "sections": form_fields.sections(form.recipe, errors, names),
        "operations": form_fields.operations(),
        "sweep": [
            {"names": fields, "values": said, "errors": [errors.get(name, "") for name in fields]}
            for fields, said in zip(SWEEP, form.sweep or [("", "")] * len(SWEEP), strict=True)
        ],
        "knobs": [path for path in titles() if path != "seed" and not SHAPES.fullmatch(path)],
    }


def _fix(text: str) -> dict[str, Any]:
    """A warning's button carries the partial recipe that mends it; anything else changes nothing."""
    try:
        fix = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    is_ours = isinstance(fix, dict) and fix.keys() <= Recipe.model_fields.keys() and _is_plain(fix)
    return fix if is_ours else {}


def _is_plain(value: Any, depth: int = 6) -> bool:
    """What a page can show again: no control characters or lone surrogates, and not nested deeper than a recipe."""
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and all(_is_plain(one, depth - 1) for one in inner)
    return not isinstance(value, str) or value.isprintable()


def _label_fields(labels: Mapping[str, str], errors: Mapping[str, str]) -> list[form_fields.Knob]:
    described = {
        "name": ("Name", "Empty: made from preset, data set and seed.", ""),
        "repeats": ("Repeats", "So many runs, with seeds seed, seed + 1, …: they say how sure a recipe is.", "1"),
        "tags": ("Tags", "Separated by commas.", ""),
        "notes": ("Notes", "For yourself, later.", ""),
        "priority": ("Priority", "Higher goes first; equal ones in the order of launching.", "0"),
    }
    return [
        form_fields.Knob(
            path=f"label.{key}",
            title=title,
            help=text,
            unit="",
            kind="whole" if key in WHOLE else "text",
            value=labels.get(key, default),
            default=None,
            error=errors.get(f"label.{key}"),
        )
        for key, (title, text, default) in described.items()
    ]
