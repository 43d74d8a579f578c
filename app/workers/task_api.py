"""Tasks over HTTP, both ends: people ask (`/runs/{id}/predict`, `/runs/{id}/exports/{format}`), workers do.

Pictures are never decoded here, only carried. Must not know nets, or how tasks wait for each other (tasks.py).
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
from app.web.deps import Here, State
from app.workers import artifacts, task_schemas
from trainer.protocol import BEST

BINARY = "application/octet-stream"
PIECE = 256 * 1024  # bytes of a file sent at once

router = APIRouter(prefix="/api/v1/runs/{run_id}", tags=["runs"])
workers = APIRouter(prefix="/api/v1/worker/tasks/{number}", tags=["worker protocol"])


@router.post("/predict", openapi_extra={"requestBody": {"content": {BINARY: {}, "image/*": {}}}})
async def predict_picture(run_id: int, request: Request, here: Here) -> task_schemas.Predicted:
    """What the run's best weights take a picture for (the body: PNG, JPEG, WEBP, BMP or GIF, at most 8 MiB)."""
    return await look(here, run_id, await request.body(), is_gone(request, here.hub))


@router.get("/exports/{kind}", response_class=StreamingResponse)
async def export_run(run_id: int, kind: Literal["keras", "onnx"], request: Request, here: Here) -> StreamingResponse:
    """The run's best weights as a file for other programs: pictures of 0 to 255 go in, probabilities come out."""
    if request.headers.get("sec-fetch-site") == "cross-site":  # a GET that costs a worker some seconds
        raise Forbidden("this request comes from another site")
    task = await _task(here.records, here.settings.data_dir, run_id, "export", kind=kind)
    path: Path = await here.tasks.ask(task, is_gone(request, here.hub))
    file = path.open("rb")
    path.unlink()  # who has it open can read it, and nothing stays, however this ends
    headers = {
        "Content-Length": str(os.fstat(file.fileno()).st_size),
        "Content-Disposition": f'attachment; filename="run-{run_id}.{kind}"',
    }
    return StreamingResponse(_pieces(file), media_type=BINARY, headers=headers)


def is_gone(request: Request, hub: Hub) -> IsGone:
    """Whether nobody waits any more: who asked has hung up, or the app stops."""

    async def gone() -> bool:
        return hub.closing or await request.is_disconnected()

    return gone


def claimed(task: Task) -> task_schemas.TaskClaimed:
    return task_schemas.TaskClaimed(
        task=task.number, what=task.what, run=task.run, sha256=task.sha256, format=task.format
    )


async def look(here: State, run_id: int, picture: bytes, gone: IsGone) -> task_schemas.Predicted:
    """Raises InvalidRequest where it is no picture, Conflict where the weights do not serve, Trouble."""
    if not picture:
        raise InvalidRequest([("picture", "there is no picture: send a PNG, JPEG, WEBP, BMP or GIF")])
    task = await _task(here.records, here.settings.data_dir, run_id, "look", picture=picture)
    said: task_schemas.LookSaid = await here.tasks.ask(task, gone)
    shares = sorted(zip(said.probabilities, said.classes, strict=True), reverse=True)
    found = [task_schemas.PredictedClass(name=name, probability=share) for share, name in shares]
    return task_schemas.Predicted(classes=found, epoch=said.epoch, seen=f"data:image/png;base64,{said.seen}")


@workers.get("/weights", response_class=FileResponse)
async def get_task_weights(number: int, here: Here) -> FileResponse:
    """The run's best weights."""
    task = here.tasks.taken(number)
    if not task.weights.is_file():  # newer ones have taken their place meanwhile, or somebody has deleted them
        here.tasks.done(number, Conflict("the weights have been replaced or deleted just now: ask again"))
        raise NotFound(f"the weights of task {number} are not there any more")
    return FileResponse(task.weights, media_type=BINARY)


@workers.get("/picture", response_class=Response)
async def get_task_picture(number: int, here: Here) -> Response:
    """As it was sent."""
    return Response(here.tasks.taken(number).picture, media_type=BINARY)


@workers.post("/answer", status_code=204)
async def answer_task(number: int, asked: task_schemas.TaskAnswered, here: Here) -> None:
    """What the picture is taken for, or why the task could not be done."""
    if asked.look is not None:
        here.tasks.done(number, asked.look)
    elif asked.field:
        here.tasks.done(number, InvalidRequest([(asked.field, asked.problem or "")]))
    else:
        here.tasks.done(number, Conflict(asked.problem or "the worker did not say what is wrong"))


@workers.put("/file", status_code=204, openapi_extra={"requestBody": {"content": {BINARY: {}}}})
async def put_task_file(
    number: int,
    request: Request,
    here: Here,
    sha256: Annotated[str, Query(pattern="^[0-9a-f]{64}$", description="Of the body")],
) -> None:
    """The file that was asked for: it goes to who asked, and stays nowhere."""
    here.tasks.taken(number)
    part = files.inside(here.settings.data_dir, "exports", f"{secrets.token_hex(8)}.part")
    is_wanted = False
    try:
        with disk.disk_errors(here.settings.data_dir):
            await artifacts.receive(request, part, sha256)
        here.tasks.done(number, part)
        is_wanted = True
    except (Problem, OSError, ClientDisconnect) as problem:
        with contextlib.suppress(NotFound):
            cut = Trouble("the file was cut on its way to the app: ask again")
            here.tasks.done(number, problem if isinstance(problem, Trouble) else cut)
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
) -> Task:
    weights, sha256 = await run_in_threadpool(_weights, records, data_dir, run_id)
    return Task(what, run_id, weights, sha256, kind, picture)


def _weights(records: Records, data_dir: Path, run_id: int) -> tuple[Path, str]:
    with records.read() as session:
        run = runs.find(session, run_id)
        found = next((one for one in runs.list_artifacts(session, run.id) if one.name == BEST), None)
        if found is None:
            raise Conflict(
                f"run {run_id} has no weights here: they come when it ends, and go when its files are deleted"
            )
        path, sha256 = files.artifact_path(data_dir, run_id, found.sha256), found.sha256
    if not path.is_file():
        raise Conflict(f"the weights of run {run_id} are listed, but not on the disk any more")
    return path, sha256
