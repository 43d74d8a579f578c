"""The worker protocol over HTTP: claim, report, beat, finish. The middleware has checked the worker token.

Files are in artifacts.py, tasks in task_api.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from app.json_shapes import ProblemResponse
from app.live.leases import LEASE_S
from app.records import files
from app.records.models import Attempt
from app.runs import schemas
from app.web.deps import Here, State
from app.workers import queue, reports, task_api, task_schemas
from app.workers import schemas as worker_schemas

DISCONNECT_CHECK_S = 1.0  # how often a waiting claim checks whether its worker is still connected

router = APIRouter(prefix="/api/v1/worker", tags=["worker protocol"], responses={409: {"model": ProblemResponse}})


@router.post("/claim", responses={204: {"description": "No run to claim: ask again"}})
async def claim_run(
    asked: worker_schemas.ClaimRequest, request: Request, here: Here
) -> worker_schemas.ClaimResponse | task_schemas.TaskResponse:
    """Wait for a run that this worker can execute, and claim it. Later requests name the returned attempt: a worker
    that no longer holds it gets 409. With `kind` = `task`, wait for a task instead.
    """
    if asked.kind == "task":
        task = await here.tasks.claim(asked.wait_s, task_api.is_gone(request, here.hub))
        return task_api.task_response(task) if task else Response(status_code=204)  # type: ignore[return-value]
    who = queue.ClaimingWorker(asked.worker, asked.device, asked.backends)
    if asked.gauge:
        here.gauges.add(who.worker, asked.gauge.model_dump())
    if asked.trouble:
        await run_in_threadpool(_note_trouble, here, who, asked.trouble)
        return Response(status_code=204)  # type: ignore[return-value]  # no body to model
    here.leases.mark_waiting(who.worker, waits=True)
    try:
        claimed = await _wait_for_run(who, asked.wait_s, request, here)
    finally:
        here.leases.mark_waiting(who.worker, waits=False)
    if await request.is_disconnected():
        here.leases.mark_gone(who.worker)
    return claimed or Response(status_code=204)  # type: ignore[return-value]  # no body to model


@router.post("/runs/{run_id}/attempts/{attempt}/report")
async def report_events(
    run_id: int, attempt: int, asked: worker_schemas.ReportRequest, here: Here
) -> worker_schemas.ReportResponse:
    """Store events and log of an attempt. Idempotent. After a gap nothing is stored: send `next_seq` next."""

    def store(session: Session) -> worker_schemas.ReportResponse:
        next_seq, before = reports.store_report(session, run_id, attempt, asked.first_seq, asked.events, here.now())
        path = files.log_path(here.settings.data_dir, run_id, attempt)
        log_size = files.write_log(path, asked.log_offset, before, asked.log)
        reports.grow_log(session, run_id, attempt, before, log_size)
        return worker_schemas.ReportResponse(next_seq=next_seq, log_size=log_size)

    answer = await asyncio.wrap_future(here.records.submit(store))  # simultaneous reports share a commit
    here.leases.grant(run_id, attempt)
    return answer


@router.post("/runs/{run_id}/attempts/{attempt}/beat")
def beat_run(
    run_id: int, attempt: int, here: Here, asked: worker_schemas.BeatRequest | None = None
) -> worker_schemas.BeatResponse:
    """Renew the lease. Returns the command for this worker: none, cancel, cancel_now or pause."""
    with here.records.read() as session:  # a heartbeat must not wait for the disk or for writers
        command = queue.command_for(session, run_id, attempt)
        worker = session.get_one(Attempt, (run_id, attempt)).worker
    if command is None:
        with here.records.write() as session:
            queue.hold(session, run_id, attempt, here.now())
    here.leases.grant(run_id, attempt)
    here.leases.mark_seen(worker)
    if asked and asked.gauge:
        here.gauges.add(worker, asked.gauge.model_dump())
    return worker_schemas.BeatResponse(lease_s=LEASE_S, command=command or "none")


@router.post("/runs/{run_id}/attempts/{attempt}/finish")
def finish_run(run_id: int, attempt: int, asked: worker_schemas.FinishRequest, here: Here) -> schemas.RunResponse:
    """End the attempt. Idempotent."""
    with here.records.write() as session:
        run = queue.finish(session, run_id, attempt, now=here.now(), **asked.model_dump())
        answer = schemas.RunResponse.model_validate(run)
    here.leases.end(run_id, attempt)
    return answer


async def _wait_for_run(
    who: queue.ClaimingWorker, wait_s: float, request: Request, here: State
) -> worker_schemas.ClaimResponse | None:
    """The first run for this worker within `wait_s`; None if there is none, it disconnects, or the app stops."""
    ends = time.monotonic() + wait_s
    with here.hub.waker() as waker:
        while not await request.is_disconnected():  # a run assigned to a disconnected worker would lose an attempt
            waker.clear()
            claimed = await _claim(here, who)
            if claimed is not None:
                return claimed
            while not waker.is_set():
                if time.monotonic() >= ends or here.hub.closing or await request.is_disconnected():
                    return None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(waker.wait(), min(DISCONNECT_CHECK_S, max(ends - time.monotonic(), 0)))
                if here.leases.has_reservations:
                    break  # a run reserved for another worker becomes free without an event
    return None


async def _claim(here: State, who: queue.ClaimingWorker) -> worker_schemas.ClaimResponse | None:
    def claim(session: Session) -> worker_schemas.ClaimResponse | None:
        queue.register_worker(session, who, here.now())
        run = queue.claim(session, who, here.now(), here.leases.is_kept)
        if run is None:
            return None
        resume = queue.find_resume(session, run)
        return worker_schemas.ClaimResponse(
            run=run.id,
            attempt=run.attempt,
            recipe=run.recipe,
            lease_s=LEASE_S,
            trail=run.trail,
            resume=None if resume is None else worker_schemas.ResumeResponse.model_validate(resume),
            next=queue.next_recipe(session, who),
        )

    claimed = await asyncio.wrap_future(here.records.submit(claim))  # a queued run wakes all workers at once
    if claimed is not None:
        here.leases.grant(claimed.run, claimed.attempt)
    return claimed


def _note_trouble(here: State, who: queue.ClaimingWorker, trouble: str) -> None:
    with here.records.write() as session:
        queue.register_worker(session, who, here.now(), trouble)
    here.leases.mark_seen(who.worker)
