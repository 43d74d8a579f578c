"""The workers' verbs over HTTP: claim, report, beat, finish. The gate has checked the worker token.

Files go their own way (artifacts.py). Must not know SQL or what events mean: verbs of run_queue.py and reports.py,
leases beside them.
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

HANGS_UP_S = 1.0  # how often a waiting claim looks whether its worker is still there

router = APIRouter(prefix="/api/v1/worker", tags=["worker protocol"], responses={409: {"model": ProblemResponse}})


@router.post("/claim", responses={204: {"description": "Nothing to do: ask again"}})
async def claim_run(
    asked: worker_schemas.ClaimRequest, request: Request, here: Here
) -> worker_schemas.Claimed | task_schemas.TaskClaimed:
    """Wait for a run that this worker can do, and take it: the answer's attempt fences all that follows.

    Or for a task, where `kind` says so.
    """
    if asked.kind == "task":
        task = await here.tasks.claim(asked.wait_s, task_api.is_gone(request, here.hub))
        return task_api.claimed(task) if task else Response(status_code=204)  # type: ignore[return-value]
    who = queue.WhoClaims(asked.worker, asked.device, asked.backends)
    if asked.gauge:
        here.gauges.note(who.worker, asked.gauge.model_dump())
    if asked.trouble:
        await run_in_threadpool(_note_trouble, here, who, asked.trouble)
        return Response(status_code=204)  # type: ignore[return-value]  # no body to model
    here.leases.waits(who.worker, waits=True)
    try:
        claimed = await _wait_for_run(who, asked.wait_s, request, here)
    finally:
        here.leases.waits(who.worker, waits=False)
    if await request.is_disconnected():
        here.leases.gone(who.worker)
    return claimed or Response(status_code=204)  # type: ignore[return-value]  # no body to model


@router.post("/runs/{run_id}/attempts/{attempt}/report")
async def report_events(
    run_id: int, attempt: int, asked: worker_schemas.ReportRequest, here: Here
) -> worker_schemas.Reported:
    """Store what the child said and wrote. Saying it twice is free; after a gap the answer says where to go on."""

    def store(session: Session) -> worker_schemas.Reported:
        next_seq, before = reports.store_report(session, run_id, attempt, asked.first_seq, asked.events, here.now())
        path = files.log_path(here.settings.data_dir, run_id, attempt)
        log_size = files.write_log(path, asked.log_offset, before, asked.log)
        reports.grow_log(session, run_id, attempt, before, log_size)
        return worker_schemas.Reported(next_seq=next_seq, log_size=log_size)

    answer = await asyncio.wrap_future(here.records.submit(store))  # many at once share a wait for the disk
    here.leases.grant(run_id, attempt)
    return answer


@router.post("/runs/{run_id}/attempts/{attempt}/beat")
def beat_run(
    run_id: int, attempt: int, here: Here, asked: worker_schemas.BeatRequest | None = None
) -> worker_schemas.BeatAnswer:
    """Keep the lease, and hear what people want."""
    with here.records.read() as session:  # a beat must not wait for the disk, or for who writes
        command = queue.standing(session, run_id, attempt)
        worker = session.get_one(Attempt, (run_id, attempt)).worker
    if command is None:
        with here.records.write() as session:
            queue.hold(session, run_id, attempt, here.now())
    here.leases.grant(run_id, attempt)
    here.leases.saw(worker)
    if asked and asked.gauge:
        here.gauges.note(worker, asked.gauge.model_dump())
    return worker_schemas.BeatAnswer(lease_s=LEASE_S, command=command or "none")


@router.post("/runs/{run_id}/attempts/{attempt}/finish")
def finish_run(run_id: int, attempt: int, asked: worker_schemas.FinishRequest, here: Here) -> schemas.RunResponse:
    """The attempt is over."""
    with here.records.write() as session:
        run = queue.finish(session, run_id, attempt, now=here.now(), **asked.model_dump())
        answer = schemas.RunResponse.model_validate(run)
    here.leases.end(run_id, attempt)
    return answer


async def _wait_for_run(
    who: queue.WhoClaims, wait_s: float, request: Request, here: State
) -> worker_schemas.Claimed | None:
    """The first run for this worker within `wait_s`; None when there is none, it hung up, or the app stops."""
    ends = time.monotonic() + wait_s
    with here.hub.waker() as waker:
        while not await request.is_disconnected():  # a run that is given to nobody would cost it an attempt
            waker.clear()
            claimed = await _claim(here, who)
            if claimed is not None:
                return claimed
            while not waker.is_set():
                if time.monotonic() >= ends or here.hub.closing or await request.is_disconnected():
                    return None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(waker.wait(), min(HANGS_UP_S, max(ends - time.monotonic(), 0)))
                if here.leases.keeps_any:
                    break  # a run that is kept for another worker becomes free without a word
    return None


async def _claim(here: State, who: queue.WhoClaims) -> worker_schemas.Claimed | None:
    def take(session: Session) -> worker_schemas.Claimed | None:
        queue.enrol(session, who, here.now())
        run = queue.claim(session, who, here.now(), here.leases.is_kept)
        if run is None:
            return None
        resume = queue.resume_of(session, run)
        return worker_schemas.Claimed(
            run=run.id,
            attempt=run.attempt,
            recipe=run.recipe,
            lease_s=LEASE_S,
            trail=run.trail,
            resume=None if resume is None else worker_schemas.ResumeResponse.model_validate(resume),
            next=queue.upcoming(session, who),
        )

    claimed = await asyncio.wrap_future(here.records.submit(take))  # a queued run wakes every worker at once
    if claimed is not None:
        here.leases.grant(claimed.run, claimed.attempt)
    return claimed


def _note_trouble(here: State, who: queue.WhoClaims, trouble: str) -> None:
    with here.records.write() as session:
        queue.enrol(session, who, here.now(), trouble)
    here.leases.saw(who.worker)
