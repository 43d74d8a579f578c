"""The page of a run, and its parts that redraw while the run trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from app.charts import run_charts
from app.errors import InvalidRecipe, InvalidRequest
from app.images import evaluation
from app.images import predictions as pictures
from app.launch import warnings
from app.live.leases import Leases
from app.metrics.epochs import with_elapsed
from app.metrics.images_trained import images_per_epoch_of
from app.records import files
from app.records.models import ENDED, HELD, Run
from app.run_list import listing
from app.run_page import evidence as evidence_table
from app.run_page import progress_vs_best, snippets
from app.runs import responses, runs, schemas, timeline
from app.runs.recipes import complete, count_training_images, flatten
from app.web.assets import PLOTLY_ADDRESS as PLOTLY
from app.web.deps import Here
from app.web.templates import page
from app.web.tokens import Tokens
from app.workers.listing import other_backends
from trainer.presets import PRESETS
from trainer.protocol import BEST, CHECKPOINT
from trainer.recipe import Recipe
from trainer.recipe.learning_rates import steps_per_epoch

LOG_TAIL_BYTES = 2000  # shown with a failure
IMAGES = 8

router = APIRouter(include_in_schema=False)


@router.get("/runs/{run_id}")
def show_run(run_id: int, request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        found = runs.find(session, run_id)
        run = responses.run_response(session, found, here.hub, here.leases)
        rows = with_elapsed(runs.shown_epochs(session, run_id))
        parts = _evidence(session, run, here.settings.datasets_dir) | _progress_vs_best(
            session, found, progress_vs_best.find_best(session, found)
        )
        parts |= _recipe(session, run, request, here.tokens) | {"timeline": timeline.run_timeline(session, run_id)}
        summary = _summary(session, run, here.settings.data_dir, here.leases)
        after = listing.last_event_id(session)
    recipe = Recipe.model_validate(run.recipe)
    images = _train_images(run, recipe, here.settings.datasets_dir)
    start, log = files.read_log(files.log_path(here.settings.data_dir, run_id, run.attempt))
    context = (
        summary
        | _images(run)
        | {
            "rows": [row.model_dump(mode="json") for row in rows],
            "best_epoch": run.best_epoch,
            "figures": run_charts.run_figures(rows, recipe, images),
            "images": images_per_epoch_of(recipe, images) if images else None,
            "steps": steps_per_epoch(recipe, images) if images else None,
            "log": log,
            "log_next": start + len(log.encode()),
            "after": after,
            "plotly": PLOTLY,
        }
    )
    return page(request, "runs/show.html", context | parts)


@router.get("/runs/{run_id}/summary")
def show_summary(run_id: int, request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        run = responses.run_response(session, runs.find(session, run_id), here.hub, here.leases)
        summary = _summary(session, run, here.settings.data_dir, here.leases)
    return page(request, "runs/_summary.html", summary)


@router.get("/runs/{run_id}/standing")
def show_progress_vs_best(
    run_id: int,
    request: Request,
    here: Here,
    beside: Annotated[str, Query(max_length=1000, pattern=r"^(\d{1,18}(,\d{1,18})*)?$")] = "",
) -> HTMLResponse:
    """Redrawn at every epoch. `beside`: the runs of the best when the page was opened; no board is ranked again."""
    with here.records.read() as session:
        run = runs.find(session, run_id)
        best = progress_vs_best.best_from_runs(
            listing.load_runs(session, [int(one) for one in beside.split(",") if one])
        )
        return page(request, "runs/_progress_vs_best.html", {"run": run} | _progress_vs_best(session, run, best))


@router.get("/runs/{run_id}/epochs")
def show_epochs(run_id: int, request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        run = runs.find(session, run_id)
        rows = [row.model_dump() for row in with_elapsed(runs.shown_epochs(session, run_id))]
        best = run.best_epoch
    return page(request, "runs/_epochs.html", {"rows": rows, "best_epoch": best})


@router.get("/runs/{run_id}/recipe")
def show_recipe(run_id: int, request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        run = responses.run_response(session, runs.find(session, run_id), here.hub, here.leases)
        context = _recipe(session, run, request, here.tokens)
    return page(request, "runs/_recipe.html", {"run": run} | context)


@router.get("/runs/{run_id}/pictures")
def show_training_images(run_id: int, request: Request, here: Here) -> HTMLResponse:
    """The first images of epoch 1 as the run was trained on them, which follow from recipe and seed."""
    with here.records.read() as session:
        recipe = Recipe.model_validate(runs.find(session, run_id).recipe)
    try:
        context = {"pictures": here.previews.augmentation(recipe, IMAGES), "problem": ""}
    except InvalidRecipe as problem:  # the data set is not on this machine
        context = {"pictures": None, "problem": "; ".join(sentence for _, sentence in problem.mistakes)}
    return page(request, "runs/_training_images.html", context)


@router.get("/runs/{run_id}/learned")
def show_evaluation(
    run_id: int,
    request: Request,
    here: Here,
    part: Annotated[bool, Query(description="Only the part, without the page around it")] = False,
) -> HTMLResponse:
    """The evaluation by the predictions of the last epoch."""
    found, problem = None, ""
    with here.records.read() as session:
        run = runs.find(session, run_id)
        try:
            found = evaluation.evaluate(pictures.load_validation(session, here.previews.gallery, run, "run"))
        except InvalidRequest as refused:
            problem = "; ".join(sentence for _, sentence in refused.mistakes)
        template = "runs/_evaluation.html" if part else "runs/evaluation.html"
        return page(request, template, {"run": run, "learned": found, "problem": problem})


@router.get("/runs/{run_id}/seen")
def show_images(run_id: int, request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        run = responses.run_response(session, runs.find(session, run_id), here.hub, here.leases)
    return page(request, "runs/_images.html", {"run": run} | _images(run))


@router.get("/runs/{run_id}/timeline")
def show_timeline(run_id: int, request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        runs.find(session, run_id)
        entries = timeline.run_timeline(session, run_id)
    return page(request, "runs/_timeline.html", {"timeline": entries})


@router.get("/runs/{run_id}/evidence")
def show_evidence(run_id: int, request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        run = responses.run_response(session, runs.find(session, run_id), here.hub, here.leases)
        context = _evidence(session, run, here.settings.datasets_dir)
    return page(request, "runs/_evidence.html", context)


@router.get("/runs/{run_id}/attempts")
def show_attempts(run_id: int, request: Request, here: Here) -> HTMLResponse:
    with here.records.read() as session:
        run = responses.run_response(session, runs.find(session, run_id), here.hub, here.leases)
    return page(request, "runs/_attempts.html", {"run": run, "has_ended": run.status in ENDED})


def _summary(session: Session, run: schemas.RunDetails, data_dir: Path, leases: Leases) -> dict[str, Any]:
    log_tail = ""
    if run.status == "failed" and run.attempt:
        path = files.log_path(data_dir, run.id, run.attempt)
        log_tail = files.read_log(path, limit=LOG_TAIL_BYTES)[1]
    return {
        "run": run,
        "is_held": run.status in HELD,
        "has_ended": run.status in ENDED,
        "log_tail": log_tail,
        "is_alone": run.status == "queued" and not leases.has_workers,
        "other_backends": other_backends(session, leases, run) if run.status == "queued" else [],
        "has_checkpoint": run.kept_for or any(one.name == CHECKPOINT for one in run.artifacts),
    }


def _images(run: schemas.RunDetails) -> dict[str, bool]:
    has_best = any(one.name == BEST for one in run.artifacts)
    return {"has_best": has_best, "has_learned": run.status in ENDED and run.last_epoch > 0}


def _progress_vs_best(session: Session, run: Run, best: progress_vs_best.BestRecipe | None) -> dict[str, Any]:
    beside = ",".join(map(str, best.runs)) if best else ""
    return {
        "progress": progress_vs_best.compare_with_best(session, run, best),
        "target": float(run.recipe["target_accuracy"]),
        "progress_url": f"/runs/{run.id}/standing?beside={beside}",
    }


def _evidence(session: Session, run: schemas.RunDetails, datasets_dir: Path) -> dict[str, Any]:
    """Measurements of the first steps, their contradictions to the recipe, and the warnings of the recipe check."""
    recipe, evidence = Recipe.model_validate(run.recipe), warnings.latest_evidence(run)
    return {
        "run": run,
        "has_ended": run.status in ENDED,
        "evidence": evidence,
        "measured": evidence_table.evidence_rows(recipe, evidence),
        "contradictions": warnings.run_warnings(run),
        "remarks": warnings.recipe_warnings(session, recipe, run.preset, datasets_dir),
    }


def _recipe(session: Session, run: schemas.RunDetails, request: Request, tokens: Tokens) -> dict[str, Any]:
    """Each setting, with its values in the preset and in the parent run where they differ."""
    origins = []
    if run.preset in PRESETS:
        of_preset = dict(flatten(PRESETS[run.preset].recipe.model_dump(mode="json")))
        origins.append((f"preset {run.preset}", of_preset | {"seed": run.seed}))
    if run.parent_id and (parents := listing.load_runs(session, [run.parent_id])):
        origins.append((f"run {run.parent_id}", dict(flatten(complete(parents[0].recipe)))))
    settings = [
        (path, value, [(origin, was.get(path, "–")) for origin, was in origins if was.get(path, "–") != value])
        for path, value in flatten(complete(run.recipe))
    ]
    site, has_login = str(request.base_url).rstrip("/"), bool(tokens.login)
    return {
        "settings": settings,
        "origins": [origin for origin, _ in origins],
        "environment": _environment(run),
        "snippets": snippets.launch_snippets(run.recipe, run.name, site, has_login=has_login),
    }


def _train_images(run: schemas.RunDetails, recipe: Recipe, datasets_dir: Path) -> int | None:
    """Reported by the trainer; before that, expected from recipe and data set."""
    started = run.attempts[-1].started if run.attempts else None
    if started:
        return int(started["train_images"])
    return count_training_images(recipe, datasets_dir)


def _environment(run: schemas.RunDetails) -> list[tuple[str, Any]]:
    """What the trainer reported at start, as rows."""
    started = run.attempts[-1].started if run.attempts else None
    if not started:
        return []
    sizes = {key: started[key] for key in ("train_images", "val_images", "steps_per_epoch")}
    return flatten(sizes | {"parameters": started["parameters"]} | started["environment"])
