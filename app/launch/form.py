"""The recipe form: as a browser posted it, and as the template shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import Request

from app.launch import form_fields, sweeps
from app.records.models import Run
from app.runs.recipes import Resolved, resolve
from trainer.data import datasets
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.knob_paths import titles
from trainer.recipe.knobs import merge

LABELS = {f"label.{name}": name for name in ("name", "repeats", "tags", "notes", "priority")}
WHOLE_NUMBERS = {"repeats", "priority"}
SWEEP_ROWS = [(f"sweep.{number}.knob", f"sweep.{number}.values") for number in range(sweeps.MAX_KNOBS)]
NOT_IN_RECIPE = {"preset", "parent", "do", "listed"} | set(LABELS) | {name for row in SWEEP_ROWS for name in row}


@dataclass(frozen=True)
class RecipeForm:
    """The recipe as a nested dict whose numbers may still be text, the labels, and what the form started from."""

    recipe: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)
    preset: str | None = None
    parent: int | None = None
    button: str = ""  # inside the form, that was pressed
    sweep: tuple[tuple[str, str], ...] = ()  # (setting, values) as typed
    listed: str = ""  # fingerprint of the sweep whose runs the page listed
    # False for a body without the form's fields. An empty one would be a complete recipe: missing check boxes are off
    is_form: bool = True

    def resolve(self, datasets_dir: Path) -> Resolved:
        """The complete recipe. Raises InvalidRecipe."""
        return resolve(self.preset, self.recipe, datasets_dir, strict=False)


async def read_form(request: Request) -> RecipeForm:
    """Uploaded files and repeated names are ignored."""
    form = await request.form(max_fields=500)
    fields = {key: value for key, value in form.items() if isinstance(value, str)}
    parent, preset = fields.get("parent", ""), fields.get("preset")
    return RecipeForm(
        form_fields.parse_fields({key: value for key, value in fields.items() if key not in NOT_IN_RECIPE}),
        {short: fields[key] for key, short in LABELS.items() if key in fields},
        preset if preset in PRESETS else None,
        int(parent) if parent.isdecimal() and len(parent) < 19 else None,
        fields.get("do", ""),
        tuple((fields.get(knob, ""), fields.get(values, "")) for knob, values in SWEEP_ROWS),
        fields.get("listed", ""),
        "epochs" in fields,
    )


def split_tags(text: str) -> list[str]:
    """The tags of a comma-separated text."""
    return [tag.strip() for tag in text.split(",") if tag.strip()]


def normalize_newlines(text: str) -> str:
    """Browsers send the text of a text area with CRLF."""
    return text.replace("\r\n", "\n")


def form_from_preset(name: str) -> RecipeForm:
    return RecipeForm(PRESETS[name].recipe.model_dump(mode="json"), preset=name)


def form_from_run(run: Run) -> RecipeForm:
    """The form for a clone: the run's complete recipe, with this version's defaults for settings added since."""
    labels = {"tags": ", ".join(run.tags), "name": f"{run.name} again"[:200], "priority": str(run.priority)}
    recipe = Recipe.model_validate(run.recipe).model_dump(mode="json")
    return RecipeForm(recipe, labels, run.preset if run.preset in PRESETS else None, run.id)


def apply_button(form: RecipeForm) -> RecipeForm:
    """Apply the pressed button: another kind, another seed, or the fix of a warning."""
    verb, _, rest = form.button.partition(".")
    if verb == "fix":
        return replace(form, recipe=merge(form.recipe, _parse_fix(rest)))
    return replace(form, recipe=form_fields.apply_action(form.recipe, form.button))


def form_context(form: RecipeForm, datasets_dir: Path, errors: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Context of the template `launch/_form.html`."""
    errors = errors or {}
    names = [info.name for info in datasets.list_datasets(datasets_dir)]
    return {
        "preset": form.preset,
        "parent": form.parent,
        "errors": errors,
        "labels": _label_fields(form.labels, errors),
        "sections": form_fields.build_sections(form.recipe, errors, names),
        "operations": form_fields.list_operations(),
        "sweep": [
            {"names": fields, "values": values, "errors": [errors.get(name, "") for name in fields]}
            for fields, values in zip(SWEEP_ROWS, form.sweep or [("", "")] * len(SWEEP_ROWS), strict=True)
        ],
        "knobs": [path for path in titles() if path != "seed" and not sweeps.SHAPES.fullmatch(path)],
    }


def _parse_fix(text: str) -> dict[str, Any]:
    """The partial recipe that a warning's button carries; empty for anything else."""
    try:
        fix = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    is_valid = isinstance(fix, dict) and fix.keys() <= Recipe.model_fields.keys() and _is_printable(fix)
    return fix if is_valid else {}


def _is_printable(value: Any, depth: int = 6) -> bool:
    """No control characters or lone surrogates, and not nested deeper than a recipe: a page can show it."""
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and all(_is_printable(one, depth - 1) for one in inner)
    return not isinstance(value, str) or value.isprintable()


def _label_fields(labels: Mapping[str, str], errors: Mapping[str, str]) -> list[form_fields.Field]:
    described = {
        "name": ("Name", "Leave empty to use preset, data set and seed.", ""),
        "repeats": ("Repeats", "Number of runs, with consecutive seeds: seed, seed + 1, …", "1"),
        "tags": ("Tags", "Separated by commas.", ""),
        "notes": ("Notes", "Shown on the run's page. Markdown.", ""),
        "priority": ("Priority", "Runs with higher priority start first; equal ones in launch order.", "0"),
    }
    return [
        form_fields.Field(
            path=f"label.{key}",
            title=title,
            help=text,
            unit="",
            kind="whole" if key in WHOLE_NUMBERS else "text",
            value=labels.get(key, default),
            default=None,
            error=errors.get(f"label.{key}"),
        )
        for key, (title, text, default) in described.items()
    ]
