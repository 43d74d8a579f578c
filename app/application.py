"""create_app: all routes, the gate, the exception handlers, and the background tasks."""

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
from app.board import group_pages, settle_pages, settles, verdict_api
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
from app.web import assets, error_handlers, login, style_guide
from app.web.deps import State
from app.web.security import Gate
from app.webhooks import pages as webhook_pages
from app.webhooks import sender
from app.workers import api as worker_api
from app.workers import artifacts, listing, queue, task_api
from app.workers.rescue import watch

STATIC = Path(__file__).parent.parent / "static"
MIN_COMPRESSED_BYTES = 1000  # smaller responses fit into one packet anyway
COMPRESSION_LEVEL = 4  # of 9: a page of 66 KB becomes 18 KB in a millisecond

# All routes of the app, matched in this order. Workers' reports are the most frequent requests, so they are first.
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
    verdict_api.router,
    board_pages.router,
    group_pages.router,
    settle_pages.router,
    compare_api.router,
    compare_pages.router,
    document.router,
    dawnbench.router,
    style_guide.router,
    webhook_pages.router,
    assets.router,
)


def create_app(state: State) -> FastAPI:
    """The web app on the given state."""
    app = FastAPI(
        title="Pitwall",
        version="1",
        summary="Launch and watch training runs.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # Swagger's page loads scripts from another site
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan,
    )
    app.state.pitwall = state
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(Problem, error_handlers.handle_problem)
    app.add_exception_handler(RequestValidationError, error_handlers.handle_validation_error)
    app.add_exception_handler(HTTPException, error_handlers.handle_http_error)
    app.add_exception_handler(OSError, error_handlers.handle_os_error)
    app.add_exception_handler(ClientDisconnect, error_handlers.handle_disconnect)
    app.add_exception_handler(Exception, error_handlers.handle_unexpected_error)
    app.add_middleware(
        GZipMiddleware,
        minimum_size=MIN_COMPRESSED_BYTES,
        compresslevel=COMPRESSION_LEVEL,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, artifacts.BINARY),  # weights do not shrink
    )
    app.add_middleware(Gate, settings=state.settings, tokens=state.tokens, render_problem=_render_problem)
    return app


def _render_problem(scope: Scope, problem: Problem) -> ASGIApp:
    response: Response = error_handlers.render_problem(Request(scope), problem)
    return response


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state: State = app.state.pitwall
    state.hub.bind(asyncio.get_running_loop())
    with state.records.read() as session:
        state.leases.restore(queue.list_held(session))
    await asyncio.to_thread(artifacts.sweep, state.records, state.settings.data_dir)
    tasks = [asyncio.create_task(watch(state)), asyncio.create_task(settles.watch(state))]
    if state.settings.hooks:
        tasks.append(asyncio.create_task(sender.run_sender(state)))
    try:
        yield
    finally:
        state.hub.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
