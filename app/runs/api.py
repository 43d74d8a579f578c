"""JSON API of single runs: launch, read, edit, control, delete. Operation ids are the functions' names."""

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

MAX_LOG_BYTES = 16 * 1024 * 1024  # a worker sends at most half of it

router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


@router.post("/runs", status_code=201, tags=["runs"])
def launch_runs(
    body: schemas.LaunchRequest,
    response: Response,
    here: Here,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> schemas.LaunchResponse:
    """Queue a run, or several with consecutive seeds. Requests with the same Idempotency-Key and body launch once."""
    body_hash = hashlib.sha256(json.dumps(vars(body)).encode()).hexdigest()
    with here.records.write() as session:

        def launch() -> list[Run]:
            resolved = resolve(body.preset, body.recipe, here.settings.datasets_dir, strict=True)
            labels = runs.RunLabels(body.name, body.tags, body.notes, body.priority)
            return runs.launch(session, resolved, labels, here.now(), repeats=body.repeats)

        launched = runs.launch_once(session, idempotency_key, body_hash, launch, here.now())
        return _created(launched, response)


@router.get("/runs/{run_id}", tags=["runs"])
def get_run(run_id: int, here: Here) -> schemas.RunDetails:
    """Return a run with its attempts and files and, while it trains, its latest step."""
    with here.records.read() as session:
        return responses.run_response(session, runs.find(session, run_id), here.hub, here.leases)


@router.patch("/runs/{run_id}", tags=["runs"])
def edit_run(run_id: int, body: schemas.EditRequest, here: Here) -> schemas.RunDetails:
    """Change the name, tags, notes or priority of a run."""
    changes = body.model_dump(exclude_unset=True)
    nulls = [key for key, value in changes.items() if value is None]
    if nulls:
        raise InvalidRequest([(key, "must not be null") for key in nulls])
    with here.records.write() as session:
        return responses.run_response(session, runs.edit(session, run_id, changes, here.now()), here.hub, here.leases)


@router.delete("/runs/{run_id}", status_code=204, tags=["runs"])
def delete_run(run_id: int, here: Here) -> None:
    """Delete a run with its epochs, logs and files. A starting or running run must be cancelled first."""
    with here.records.write() as session:
        runs.remove(session, run_id)
    files.remove_all_of(here.settings.data_dir, run_id)


@router.post("/runs/{run_id}/cancel", tags=["runs"])
def cancel_run(run_id: int, here: Here) -> schemas.RunDetails:
    """Cancel a queued or paused run at once, a running one at its next step. A second call kills the trainer."""
    with here.records.write() as session:
        return responses.run_response(session, lifecycle.cancel(session, run_id, here.now()), here.hub, here.leases)


@router.post("/runs/{run_id}/move", tags=["runs"])
def move_run(run_id: int, body: schemas.MoveRequest, here: Here) -> schemas.RunDetails:
    """Move a queued run before another one, or to the end of the queue. Only priorities change."""
    with here.records.write() as session:
        return responses.run_response(
            session, lifecycle.move(session, run_id, body.before, here.now()), here.hub, here.leases
        )


@router.post("/runs/{run_id}/pause", tags=["runs"])
def pause_run(run_id: int, here: Here) -> schemas.RunDetails:
    """Pause a queued run at once, a running one at its next step, with a checkpoint; its device becomes free."""
    with here.records.write() as session:
        return responses.run_response(session, lifecycle.pause(session, run_id, here.now()), here.hub, here.leases)


@router.post("/runs/{run_id}/resume", tags=["runs"])
def resume_run(run_id: int, here: Here) -> schemas.RunDetails:
    """Return a paused run to the queue; it continues from its checkpoint."""
    with here.records.write() as session:
        return responses.run_response(session, lifecycle.resume(session, run_id, here.now()), here.hub, here.leases)


@router.post("/runs/{run_id}/retry", tags=["runs"])
def retry_run(run_id: int, here: Here, body: schemas.RetryRequest | None = None) -> schemas.RunDetails:
    """Queue a failed or cancelled run again, `from` its newest checkpoint (the default) or from scratch."""
    source = (body or schemas.RetryRequest()).source
    with here.records.write() as session:
        answer = responses.run_response(
            session, lifecycle.retry(session, run_id, source, here.now()), here.hub, here.leases
        )
    if source == "scratch":
        files.remove_artifacts(here.settings.data_dir, run_id)
    return answer


@router.post("/runs/{run_id}/clone", status_code=201, tags=["runs"])
def clone_run(
    run_id: int, response: Response, here: Here, body: schemas.CloneRequest | None = None
) -> schemas.LaunchResponse:
    """Launch a new run with the recipe of this one, with optional overrides."""
    body = body or schemas.CloneRequest()
    with here.records.write() as session:
        run = runs.find(session, run_id)
        root = here.settings.datasets_dir
        launched = runs.relaunch(session, run, root, here.now(), body.recipe, name=body.name, parent_id=run.id)
        return _created(launched, response)


@router.get("/runs/{run_id}/epochs", tags=["runs"])
def list_epochs(run_id: int, here: Here) -> list[EpochResponse]:
    """Return the run's curve, one row per epoch; epochs start at 1."""
    with here.records.read() as session:
        runs.find(session, run_id)
        return with_elapsed(runs.shown_epochs(session, run_id))


@router.get("/runs/{run_id}/log", tags=["runs"], response_class=PlainTextResponse)
def get_log(
    run_id: int,
    here: Here,
    attempt: Annotated[int | None, Query(ge=1, lt=2**31, description="Attempt number; default: the latest")] = None,
    after: Annotated[
        int, Query(ge=0, lt=2**62, description="Number of bytes to skip, usually the last `Pitwall-Log-Next`")
    ] = 0,
) -> PlainTextResponse:
    """Return the trainer's log as text. Send the header `Pitwall-Log-Next` as `after` to read on."""
    with here.records.read() as session:
        run = runs.find(session, run_id)
        number = attempt or run.attempt
    path = files.log_path(here.settings.data_dir, run_id, number)
    start, text = files.read_log(path, after, MAX_LOG_BYTES)
    headers = {"Pitwall-Log-Next": str(start + len(text.encode())), "Pitwall-Attempt": str(number)}
    return PlainTextResponse(text, headers=headers)


def _created(launched: list[Run], response: Response) -> schemas.LaunchResponse:
    response.headers["Location"] = f"/api/v1/runs/{launched[0].id}"
    return schemas.LaunchResponse(runs=[schemas.RunResponse.model_validate(run) for run in launched])
