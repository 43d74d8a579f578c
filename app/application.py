"""create_app: the routes, the gate, the error pages, the life of the process. Nothing else.

Must not build its own parts: `__main__` does, and a test may build others.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from app.compare import document
from app.compare import pages as compare_pages
from app.errors import Problem
from app.launch import api as launch_api
from app.launch import pages as launch_pages
from app.launch import previews
from app.run_list import api as run_list_api
from app.run_list import pages as run_list_pages
from app.run_page import actions, dawnbench, try_model
from app.run_page import pages as run_pages
from app.runs import api as runs_api
from app.runs import streams
from app.web import assets, error_pages, login, style_guide
from app.web.deps import State
from app.web.security import Gate
from app.webhooks import pages as webhook_pages
from app.webhooks import sender
from app.workers import api as worker_api
from app.workers import artifacts, listing, queue, task_api
from app.workers.rescue import watch

STATIC = Path(__file__).parent.parent / "static"
MIN_COMPRESSED_BYTES = 1000  # bytes: one packet, packed or not
COMPRESSION_LEVEL = 4  # of 9: a page of 66 KB becomes 18 KB in a millisecond

# Every address of the app. Routes are looked through in this order: reports come most, so they come first.
ROUTERS = (
    worker_api.router,
    runs_api.router,
    run_list_api.router,
    launch_api.router,
    listing.router,
    artifacts.router,
    artifacts.workers,
    task_api.router,
    task_api.workers,
    streams.router,
    health.router,
    login.router,
    launch_pages.router,
    previews.router,
    run_list_pages.router,
    home.router,
    run_pages.router,
    actions.router,
    try_model.router,
    architecture_pages.router,
    board_api.router,
    board_pages.router,
    group_pages.router,
    compare_api.router,
    compare_pages.router,
    document.router,
    dawnbench.router,
    style_guide.router,
    webhook_pages.router,
    assets.router,
)


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
    app.state.pitwall = state
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(Problem, error_pages.of_problem)
    app.add_exception_handler(RequestValidationError, error_pages.of_validation)
    app.add_exception_handler(HTTPException, error_pages.of_http)
    app.add_exception_handler(OSError, error_pages.of_disk)
    app.add_exception_handler(ClientDisconnect, error_pages.of_hangup)
    app.add_exception_handler(Exception, error_pages.of_bug)
    app.add_middleware(
        GZipMiddleware,
        minimum_size=MIN_COMPRESSED_BYTES,
        compresslevel=COMPRESSION_LEVEL,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, artifacts.BINARY),  # weights do not shrink
    )
    app.add_middleware(Gate, settings=state.settings, tokens=state.tokens, answer=_answer)
    return app


def _answer(scope: Scope, problem: Problem) -> ASGIApp:
    response: Response = error_pages.render(Request(scope), problem)
    return response


@contextlib.asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    state: State = app.state.pitwall
    state.hub.bind(asyncio.get_running_loop())
    with state.records.read() as session:
        state.leases.restore(queue.held(session))
    await asyncio.to_thread(artifacts.sweep, state.records, state.settings.data_dir)
    tasks = [asyncio.create_task(watch(state))]
    if state.settings.hooks:
        tasks.append(asyncio.create_task(sender.run_sender(state)))
    try:
        yield
    finally:
        state.hub.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
