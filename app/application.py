"""create_app: the routes, the gate, the error pages, the life of the process. Nothing else.

Must not build its own parts: `__main__` does, and a test may build others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Scope

from app import health, home
from app.architecture import pages as architecture_pages
from app.board import api as board_api
from app.board import group_pages
from app.board import pages as board_pages
from app.compare import api as compare_api
from app.compare import pages as compare_pages
from app.compare import report_pages
from app.errors import Problem, Trouble
from app.launch import pages as launch_pages
from app.launch import previews
from app.run_list import api as many_api
from app.run_list import pages as run_list_pages
from app.run_page import actions as button_pages
from app.run_page import dawnbench_api, try_model
from app.run_page import pages as run_pages
from app.runs import api, streams
from app.web import assets, error_pages, login, plotly_js, style_guide
from app.web.deps import State
from app.web.security import Gate
from app.webhooks import pages as notice_pages
from app.webhooks import sender
from app.workers import api as worker_api
from app.workers import artifacts, queue, task_api

STATIC = Path(__file__).parent.parent / "static"
SWEEP_S = 0.5  # how often lapsed leases are looked for
SMALL = 1000  # bytes: one packet, packed or not
PACKED = 4  # of 9: a page of 66 KB becomes 18 KB in a millisecond
STOOD_STILL_S = 1.0  # later than that, this process did (a paused machine): nobody can have been heard

logger = logging.getLogger(__name__)


def create_app(state: State) -> FastAPI:
    """The whole web app over the given parts."""
    app = FastAPI(
        title="Pitwall",
        version="1",
        summary="Launch and watch training runs.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # Swagger's page loads scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_life,
    )
    app.web.deps.pitwall = state
    parts = (
        worker_api,  # first: routes are looked through in this order, and reports come most
        api,
        many_api,
        artifacts,
        task_api,
        streams,
        health,
        login,
        launch_pages,
        previews,
        run_list_pages,
        home,
        run_pages,
        button_pages,
        try_model,
        architecture_pages,
        board_api,
        board_pages,
        group_pages,
        compare_api,
        compare_pages,
        dawnbench_api,
        report_pages,
        style_guide,
        notice_pages,
        plotly_js,
        assets,
    )
    for part in parts:
        app.include_router(part.router)
    app.include_router(artifacts.workers)
    app.include_router(task_api.workers)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(Problem, error_pages.of_problem)
    app.add_exception_handler(RequestValidationError, error_pages.of_validation)
    app.add_exception_handler(HTTPException, error_pages.of_http)
    app.add_exception_handler(OSError, error_pages.of_disk)
    app.add_exception_handler(ClientDisconnect, error_pages.of_hangup)
    app.add_exception_handler(Exception, error_pages.of_bug)
    app.add_middleware(
        GZipMiddleware,
        minimum_size=SMALL,
        compresslevel=PACKED,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, artifacts.BINARY),  # weights do not shrink
    )
    app.add_middleware(Gate, settings=state.settings, tokens=state.tokens, answer=_answer)
    return app


def _answer(scope: Scope, problem: Problem) -> ASGIApp:
    response: Response = error_pages.render(Request(scope), problem)
    return response


@contextlib.asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    state: State = app.web.deps.pitwall
    state.hub.bind(asyncio.get_running_loop())
    with state.records.read() as session:
        state.leases.restore(queue.held(session))
    await asyncio.to_thread(artifacts.sweep, state)
    tasks = [asyncio.create_task(_sweep(state))]
    if state.settings.hooks:
        tasks.append(asyncio.create_task(sender.carry(state)))
    try:
        yield
    finally:
        state.hub.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _sweep(state: State) -> None:
    """Rescue the runs of workers that fell silent, and say which are about to be."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(SWEEP_S)
        if (late := time.monotonic() - began - SWEEP_S) > STOOD_STILL_S:
            state.leases.stood_still(late)
        for run_id, attempt in state.leases.turned_silent():
            state.hub.tell(
                [{"id": None, "run": run_id, "event": "silent", "data": {"run": run_id, "attempt": attempt}}]
            )
        if lapsed := state.leases.lapsed():
            try:
                await asyncio.to_thread(_rescue, state, lapsed)
            except Exception as error:
                if isinstance(error, Trouble):
                    logger.warning("could not rescue %s: %s", lapsed, error.detail)
                else:
                    logger.exception("could not rescue %s; trying again", lapsed)
                for held in lapsed:
                    state.leases.give_back(*held, seconds=SWEEP_S)


def _rescue(state: State, lapsed: list[tuple[int, int]]) -> None:
    with state.records.write() as session:
        lapsed = [held for held in lapsed if not state.leases.holds(*held)]  # heard of while we waited for our turn
        queue.rescue(session, lapsed, state.now())
    for run_id, attempt in lapsed:
        logger.warning("run %d: the worker of attempt %d fell silent", run_id, attempt)
