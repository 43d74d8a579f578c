"""Files of a run: workers upload them and fetch their checkpoint; clients list, download and delete them.

A file is received under a temporary name, checked against its SHA-256, flushed, and renamed to its hash in the
transaction that stores its row: a reader gets the old file or the new one, never a part.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path as Place
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from app.errors import Conflict, InvalidRequest, NotFound, Problem, TooLarge
from app.json_shapes import ProblemResponse
from app.records import disk, files
from app.records.database import Records
from app.records.models import ENDED, Artifact
from app.runs import responses, runs, schemas
from app.web.deps import Here, State
from app.workers import queue, reports
from trainer.protocol import CHECKPOINT

MAX_BYTES = 4 * 1024**3  # of one file; a checkpoint of the widest model takes 3.4 GB
PIECE = 2**20  # bytes written at once
STALL_S = 60.0
ORPHAN_S = 14 * 24 * 3600  # how long a file without a row stays
BINARY = "application/octet-stream"

FileName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Count = Annotated[int, Query(ge=0, lt=2**31)]

workers = APIRouter(
    prefix="/api/v1/worker/runs/{run_id}/attempts/{attempt}",
    tags=["worker protocol"],
    responses={409: {"model": ProblemResponse}},
)
router = APIRouter(prefix="/api/v1/runs/{run_id}/artifacts", tags=["runs"])


@workers.put("/artifacts/{name}", openapi_extra={"requestBody": {"content": {BINARY: {}}}})
async def put_artifact(
    run_id: int,
    attempt: int,
    name: FileName,
    request: Request,
    here: Here,
    sha256: Annotated[str, Query(pattern="^[0-9a-f]{64}$", description="SHA-256 of the body")],
    epoch: Count = 0,
    step: Count = 0,
) -> schemas.ArtifactResponse:
    """Upload a file of the held attempt. It replaces the run's earlier file of that name."""
    await run_in_threadpool(_check_held, here.records, run_id, attempt)
    place = files.artifact_path(here.settings.data_dir, run_id, sha256)
    part = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with disk.disk_errors(here.settings.data_dir):
            size = await receive(request, part, sha256)
        artifact = Artifact(
            run_id=run_id, name=name, attempt=attempt, sha256=sha256, bytes=size, epoch=epoch, step=step, at=here.now()
        )
        return await run_in_threadpool(_store, here, artifact, part, place)
    finally:
        part.unlink(missing_ok=True)


@workers.get("/checkpoint", response_class=FileResponse)
def get_checkpoint(run_id: int, attempt: int, here: Here) -> FileResponse:
    """Download the run's newest uploaded checkpoint, for the held attempt."""
    _check_held(here.records, run_id, attempt)
    return _file(here.records, here.settings.data_dir, run_id, CHECKPOINT)


@router.get("")
def list_artifacts(run_id: int, here: Here) -> list[schemas.ArtifactResponse]:
    """List the files that the run's workers uploaded: the newest checkpoint and the weights of the best epoch."""
    with here.records.read() as session:
        run = runs.find(session, run_id)
        return [responses.artifact_response(session, run, one) for one in runs.list_artifacts(session, run_id)]


@router.get("/{name}", response_class=FileResponse)
def get_artifact(run_id: int, name: str, here: Here) -> FileResponse:
    """Download a file of the run."""
    return _file(here.records, here.settings.data_dir, run_id, name)


@router.delete("/{name}", status_code=204)
def delete_artifact(run_id: int, name: str, here: Here) -> None:
    """Delete a file of the run. The run must have ended: until then it may resume from its files."""
    discard(here.records, here.settings.data_dir, run_id, [name])


def discard(records: Records, data_dir: Place, run_id: int, names: list[str]) -> None:
    """Delete files of a run that has ended."""
    with records.write() as session:
        run = runs.find(session, run_id)
        if run.status not in ENDED:
            raise Conflict(f"run {run_id} is {run.status}: it may still resume from its files")
        for name in names:
            runs.remove_artifact(session, run_id, name)
        kept = [one.sha256 for one in runs.list_artifacts(session, run_id)]
    files.remove_artifacts(data_dir, run_id, kept)


def sweep(records: Records, data_dir: Place) -> None:
    """Delete partial uploads and, after `ORPHAN_S`, files without a row. Call at start, before any upload.

    Not at once: after the restore of an older backup newer files have no row, and the restore may be undone.
    """
    with records.read() as session:
        named = runs.artifact_hashes(session)
    for path in (data_dir / "exports").glob("*"):
        path.unlink(missing_ok=True)
    for path in (data_dir / "runs").glob("*/artifacts/*"):
        is_named = (path.parent.parent.name, path.name) in named
        if path.name.endswith(".part") or (not is_named and time.time() - path.stat().st_mtime > ORPHAN_S):
            path.unlink(missing_ok=True)


def _check_held(records: Records, run_id: int, attempt: int) -> None:
    with records.read() as session:
        queue.command_for(session, run_id, attempt)


async def receive(request: Request, part: Place, sha256: str) -> int:
    """Write the body to a file, flushed. Returns its size. Raises InvalidRequest if its hash is not `sha256`.

    Leaves the space that the database needs, or a checkpoint would stop all runs from being recorded.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    digest, size, waiting = hashlib.sha256(), 0, bytearray()
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)

    def write() -> None:
        if disk.free_space(part.parent).free - len(waiting) < disk.FULL_BYTES:
            raise OSError(errno.ENOSPC, "the remaining space is reserved for the database")
        digest.update(waiting)
        file.write(waiting)
        waiting.clear()

    with os.fdopen(descriptor, "wb") as file:
        chunks = aiter(request.stream())
        while (chunk := await _next(chunks)) is not None:
            size += len(chunk)
            if size > MAX_BYTES:
                raise TooLarge(f"the file is larger than {MAX_BYTES // 1024**3} GiB")
            waiting += chunk
            if len(waiting) >= PIECE:
                await run_in_threadpool(write)  # a slow disk must not delay heartbeats and streams
        await run_in_threadpool(write)
        file.flush()
        await run_in_threadpool(os.fsync, file.fileno())
    if digest.hexdigest() != sha256:
        raise InvalidRequest([("sha256", "does not match the body, which was changed in transit: send it again")])
    return size


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    """None: the end. Raises Problem after `STALL_S` without data: a cut network closes no connection by itself."""
    try:
        async with asyncio.timeout(STALL_S):
            return await anext(chunks, None)
    except TimeoutError:
        raise Problem(f"no data has arrived for {STALL_S:.0f} s: send it again") from None


def _store(here: State, artifact: Artifact, part: Place, place: Place) -> schemas.ArtifactResponse:
    with here.records.write() as session:
        replaced = reports.store_artifact(session, artifact, here.now())
        shown = responses.artifact_response(session, runs.find(session, artifact.run_id), artifact)
        part.rename(place)  # before the commit: a row without its file would be worse than a file without its row
        files.flush_folder(place.parent)
    here.leases.grant(artifact.run_id, artifact.attempt)
    if replaced:
        files.artifact_path(here.settings.data_dir, artifact.run_id, replaced).unlink(missing_ok=True)
    return shown


def _file(records: Records, data_dir: Place, run_id: int, name: str) -> FileResponse:
    with records.read() as session:
        found = runs.find_artifact(session, run_id, name)
        path = files.artifact_path(data_dir, run_id, found.sha256)
        headers = {"Pitwall-SHA256": found.sha256, "Pitwall-Epoch": str(found.epoch), "Pitwall-Step": str(found.step)}
    if not path.is_file():
        raise NotFound(f"the file {name} of run {run_id} is listed, but no longer on the disk")
    return FileResponse(path, media_type=BINARY, filename=f"run-{run_id}-{name}", headers=headers)
