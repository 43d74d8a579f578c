"""JSON under /api/v1 for scripts: the same verbs as the pages. Operation ids are the functions' names.

Must not know SQL or HTML: verbs of runs.py, shapes of schemas.py.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import PlainTextResponse

from app.errors import InvalidRequest
from app.json_shapes import PROBLEM
from app.metrics.epochs import EpochResponse, with_elapsed
from app.records import files
from app.records.models import Run
from app.runs import lifecycle, responses, runs, schemas
from app.runs.recipes import resolve
from app.web.deps import Here

WHOLE_LOG = 16 * 1024 * 1024  # bytes; a worker sends no more than half of it

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


@router.post("/runs", status_code=201, tags=["runs"])
def launch_runs(
    asked: schemas.LaunchRequest,
    response: Response,
    here: Here,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> schemas.LaunchResponse:
    """Queue a run, or several with different seeds. The same Idempotency-Key and body launch only once."""
    body_hash = hashlib.sha256(json.dumps(vars(asked)).encode()).hexdigest()
    with here.records.write() as session:

        def launch() -> list[Run]:
            resolved = resolve(asked.preset, asked.recipe, here.settings.datasets_dir, strict=True)
            labels = runs.RunLabels(asked.name, asked.tags, asked.notes, asked.priority)
            return runs.launch(session, resolved, labels, here.now(), repeats=asked.repeats)

        made = runs.launch_once(session, idempotency_key, body_hash, launch, here.now())
        answer = schemas.LaunchResponse(runs=[schemas.RunResponse.model_validate(run) for run in made])
    response.headers["Location"] = f"/api/v1/runs/{answer.runs[0].id}"
    return answer


@router.get("/runs/{run_id}", tags=["runs"])
def get_run(run_id: int, here: Here) -> schemas.RunDetails:
    """One run with its attempts and, while it trains, its latest step."""
    with here.records.read() as session:
        return responses.run_response(session, runs.find(session, run_id), here)


@router.patch("/runs/{run_id}", tags=["runs"])
def edit_run(run_id: int, asked: schemas.EditRequest, here: Here) -> schemas.RunDetails:
    """Change name, tags, notes or priority."""
    changes = asked.model_dump(exclude_unset=True)
    empty = [key for key, value in changes.items() if value is None]
    if empty:
        raise InvalidRequest([(key, "must not be null") for key in empty])
    with here.records.write() as session:
        return responses.run_response(session, runs.edit(session, run_id, changes, here.now()), here)


@router.delete("/runs/{run_id}", status_code=204, tags=["runs"])
def delete_run(run_id: int, here: Here) -> None:
    """Delete a run that no worker holds, with its epochs, logs and files."""
    with here.records.write() as session:
        runs.remove(session, run_id)
    files.remove_all_of(here.settings.data_dir, run_id)


@router.post("/runs/{run_id}/cancel", tags=["runs"])
def cancel_run(run_id: int, here: Here) -> schemas.RunDetails:
    """Stop a run: at once if it waits, at its next step if it trains, by force if this is asked for twice."""
    with here.records.write() as session:
        return responses.run_response(session, lifecycle.cancel(session, run_id, here.now()), here)


@router.post("/runs/{run_id}/move", tags=["runs"])
def move_run(run_id: int, asked: schemas.MoveRequest, here: Here) -> schemas.RunDetails:
    """Put a run that waits before another one, or behind all. Only priorities change."""
    with here.records.write() as session:
        return responses.run_response(session, lifecycle.move(session, run_id, asked.before, here.now()), here)


@router.post("/runs/{run_id}/pause", tags=["runs"])
def pause_run(run_id: int, here: Here) -> schemas.RunDetails:
    """Free the device and keep the run's place: at once if it waits, at its next step if it trains."""
    with here.records.write() as session:
        return responses.run_response(session, lifecycle.pause(session, run_id, here.now()), here)


@router.post("/runs/{run_id}/resume", tags=["runs"])
def resume_run(run_id: int, here: Here) -> schemas.RunDetails:
    """Let a paused run go on from where it stopped."""
    with here.records.write() as session:
        return responses.run_response(session, lifecycle.resume(session, run_id, here.now()), here)


@router.post("/runs/{run_id}/retry", tags=["runs"])
def retry_run(run_id: int, here: Here, asked: schemas.RetryRequest | None = None) -> schemas.RunDetails:
    """Try a failed or cancelled run again, `from` its newest checkpoint (the default) or from scratch."""
    source = (asked or schemas.RetryRequest()).source
    with here.records.write() as session:
        answer = responses.run_response(session, lifecycle.retry(session, run_id, source, here.now()), here)
    if source == "scratch":
        files.remove_artifacts(here.settings.data_dir, run_id)
    return answer


@router.post("/runs/{run_id}/clone", status_code=201, tags=["runs"])
def clone_run(
    run_id: int, response: Response, here: Here, asked: schemas.CloneRequest | None = None
) -> schemas.LaunchResponse:
    """Launch the same recipe again, changed where the body says so."""
    asked = asked or schemas.CloneRequest()
    with here.records.write() as session:
        run = runs.find(session, run_id)
        root = here.settings.datasets_dir
        made = runs.relaunch(session, run, root, here.now(), asked.recipe, name=asked.name, parent_id=run.id)
        answer = schemas.LaunchResponse(runs=[schemas.RunResponse.model_validate(one) for one in made])
    response.headers["Location"] = f"/api/v1/runs/{answer.runs[0].id}"
    return answer


@router.get("/runs/{run_id}/epochs", tags=["runs"])
def list_epochs(run_id: int, here: Here) -> list[EpochResponse]:
    """The run's curve, one row per epoch, epochs from 1."""
    with here.records.read() as session:
        runs.find(session, run_id)
        return with_elapsed(runs.shown_epochs(session, run_id))


@router.get("/runs/{run_id}/log", tags=["runs"], response_class=PlainTextResponse)
def get_log(
    run_id: int,
    here: Here,
    attempt: Annotated[int | None, Query(ge=1, lt=2**31, description="Default: the latest")] = None,
    after: Annotated[int, Query(ge=0, lt=2**62, description="Bytes that you have")] = 0,
) -> PlainTextResponse:
    """What the trainer wrote for people, as text. `Pitwall-Log-Next` is what to send as `after` the next time."""
    with here.records.read() as session:
        run = runs.find(session, run_id)
        number = attempt or run.attempt
    path = files.log_path(here.settings.data_dir, run_id, number)
    start, text = files.read_log(path, after, WHOLE_LOG)
    headers = {"Pitwall-Log-Next": str(start + len(text.encode())), "Pitwall-Attempt": str(number)}
    return PlainTextResponse(text, headers=headers)
