"""Tasks over HTTP: clients request them (`/runs/{id}/predict`, `/runs/{id}/exports/{format}`), workers execute them.

Images are never decoded in this process, only passed on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from app.errors import Conflict, Forbidden, InvalidRequest, NotFound, Problem, Trouble
from app.live.events import Hub
from app.live.tasks import IsGone, Task
from app.records import disk, files
from app.records.database import Records
from app.runs import runs
from app.runs.responses import artifact_response
from app.runs.schemas import ArtifactResponse
from app.web.deps import Here, State
from app.workers import artifacts, task_schemas
from trainer.protocol import BEST

BINARY = "application/octet-stream"
PIECE = 256 * 1024  # bytes of a file sent at once

router = APIRouter(prefix="/api/v1/runs/{run_id}", tags=["runs"])
workers = APIRouter(prefix="/api/v1/worker/tasks/{number}", tags=["worker protocol"])


@router.post("/predict", openapi_extra={"requestBody": {"content": {BINARY: {}, "image/*": {}}}})
async def predict_picture(run_id: int, request: Request, here: Here) -> task_schemas.PredictionResponse:
    """Classify an image with the run's best weights. The body is a PNG, JPEG, WEBP, BMP or GIF of at most 8 MiB."""
    return await predict(here, run_id, await request.body(), is_gone(request, here.hub))


@router.get("/exports/{kind}", response_class=StreamingResponse)
async def export_run(run_id: int, kind: Literal["keras", "onnx"], request: Request, here: Here) -> StreamingResponse:
    """Download the model of the best epoch as Keras or ONNX. Input: images of 0 to 255; output: probabilities."""
    if request.headers.get("sec-fetch-site") == "cross-site":  # a GET that costs a worker some seconds
        raise Forbidden("this request comes from another site")
    task, weights = await _task(here.records, here.settings.data_dir, run_id, "export", kind=kind)
    path: Path = await here.tasks.ask(task, is_gone(request, here.hub))
    file = path.open("rb")
    path.unlink()  # the open file stays readable, and nothing is left however this ends
    headers = {
        "Content-Length": str(os.fstat(file.fileno()).st_size),
        "Content-Disposition": f'attachment; filename="run-{run_id}-epoch-{weights.epoch}.{kind}"',
        "Pitwall-Epoch": str(weights.epoch),
    }
    return StreamingResponse(_pieces(file), media_type=BINARY, headers=headers)


def is_gone(request: Request, hub: Hub) -> IsGone:
    """Whether the client has disconnected, or the app stops."""

    async def gone() -> bool:
        return hub.closing or await request.is_disconnected()

    return gone


def task_response(task: Task) -> task_schemas.TaskResponse:
    return task_schemas.TaskResponse(
        task=task.number, what=task.what, run=task.run, sha256=task.sha256, format=task.format
    )


async def predict(here: State, run_id: int, picture: bytes, gone: IsGone) -> task_schemas.PredictionResponse:
    """Raises InvalidRequest if it is no image, Conflict if the weights cannot be used, Trouble."""
    if not picture:
        raise InvalidRequest([("picture", "there is no image: send a PNG, JPEG, WEBP, BMP or GIF")])
    task, weights = await _task(here.records, here.settings.data_dir, run_id, "look", picture=picture)
    said: task_schemas.TaskPrediction = await here.tasks.ask(task, gone)
    shares = sorted(zip(said.probabilities, said.classes, strict=True), reverse=True)
    found = [task_schemas.PredictedClass(name=name, probability=share) for share, name in shares]
    return task_schemas.PredictionResponse(
        classes=found,
        epoch=said.epoch,
        accuracy=weights.accuracy,
        plain_accuracy=weights.plain_accuracy,
        seen=f"data:image/png;base64,{said.seen}",
    )


@workers.get("/weights", response_class=FileResponse)
async def get_task_weights(number: int, here: Here) -> FileResponse:
    """Download the run's best weights."""
    task = here.tasks.find_claimed(number)
    if not task.weights.is_file():  # they were replaced by newer ones or deleted meanwhile
        here.tasks.resolve(number, Conflict("the weights have just been replaced or deleted: try again"))
        raise NotFound(f"the weights of task {number} no longer exist")
    return FileResponse(task.weights, media_type=BINARY)


@workers.get("/picture", response_class=Response)
async def get_task_picture(number: int, here: Here) -> Response:
    """Download the image as it was uploaded."""
    return Response(here.tasks.find_claimed(number).picture, media_type=BINARY)


@workers.post("/answer", status_code=204)
async def answer_task(number: int, asked: task_schemas.TaskAnswer, here: Here) -> None:
    """Send the prediction, or why the task failed."""
    if asked.look is not None:
        here.tasks.resolve(number, asked.look)
    elif asked.field:
        here.tasks.resolve(number, InvalidRequest([(asked.field, asked.problem or "")]))
    else:
        here.tasks.resolve(number, Conflict(asked.problem or "the worker gave no reason"))


@workers.put("/file", status_code=204, openapi_extra={"requestBody": {"content": {BINARY: {}}}})
async def put_task_file(
    number: int,
    request: Request,
    here: Here,
    sha256: Annotated[str, Query(pattern="^[0-9a-f]{64}$", description="SHA-256 of the body")],
) -> None:
    """Upload the requested file: it is sent to the client and not stored."""
    here.tasks.find_claimed(number)
    part = files.inside(here.settings.data_dir, "exports", f"{secrets.token_hex(8)}.part")
    is_wanted = False
    try:
        with disk.disk_errors(here.settings.data_dir):
            await artifacts.receive(request, part, sha256)
        here.tasks.resolve(number, part)
        is_wanted = True
    except (Problem, OSError, ClientDisconnect) as problem:
        with contextlib.suppress(NotFound):
            cut = Trouble("the file was cut off in transit: try again")
            here.tasks.resolve(number, problem if isinstance(problem, Trouble) else cut)
        raise
    finally:
        if not is_wanted:
            part.unlink(missing_ok=True)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece


async def _task(
    records: Records,
    data_dir: Path,
    run_id: int,
    what: Literal["look", "export"],
    *,
    kind: str | None = None,
    picture: bytes = b"",
) -> tuple[Task, ArtifactResponse]:
    path, weights = await run_in_threadpool(_weights, records, data_dir, run_id)
    return Task(what, run_id, path, weights.sha256, kind, picture), weights


def _weights(records: Records, data_dir: Path, run_id: int) -> tuple[Path, ArtifactResponse]:
    with records.read() as session:
        run = runs.find(session, run_id)
        found = next((one for one in runs.list_artifacts(session, run.id) if one.name == BEST), None)
        if found is None:
            raise Conflict(
                f"run {run_id} has no weights here: they are uploaded when it ends, and deleted with its files"
            )
        path, weights = files.artifact_path(data_dir, run_id, found.sha256), artifact_response(session, run, found)
    if not path.is_file():
        raise Conflict(f"the weights of run {run_id} are listed, but no longer on the disk")
    return path, weights
