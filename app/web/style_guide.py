"""The style guide (`/style`) with every component of the pages, and the choice of theme."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from app.charts.palette import COLORS
from app.web.security import local_path
from app.web.templates import THEME_COOKIE, page

YEAR_S = 365 * 24 * 3600
TOKENS = {
    "Text and background": ("ink", "ink-soft", "ground", "surface", "sunken", "line", "line-strong"),
    "Meaning": ("accent", "accent-soft", "good", "good-soft", "bad", "bad-soft", "wait", "wait-soft"),
    "Charts": tuple(
        f"chart-{name}"
        for name in ("train", "validation", "without-tta", "rate", "planned", "time", "target", "run", "mean")
    ),
    "Overlaid curves": tuple(f"series-{number}" for number in range(len(COLORS))),
}
LINES = [("Training", "train", [0.42, 0.71, 0.83, 0.9]), ("Validation", "validation", [0.5, 0.68, 0.86, 0.92])]
SAMPLE_CHARTS = {
    "Lines with a target": {
        "traces": [
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": [1, 2, 3, 4],
                "y": y,
                "meta": {"role": role},
            }
            for name, role, y in LINES
        ],
        "percent": True,
        "target": 0.88,
    },
    "Bars": {
        "traces": [{"type": "bar", "name": "Seconds", "x": [1, 2, 3], "y": [4, 3.5, 3.6], "meta": {"role": "time"}}]
    },
    "Nothing yet": {"traces": []},
}

router = APIRouter(include_in_schema=False)


@router.get("/style")
def show_style(request: Request) -> HTMLResponse:
    return page(request, "style.html", {"tokens": TOKENS, "sample_charts": SAMPLE_CHARTS})


@router.post("/theme")
def set_theme(
    theme: Annotated[Literal["system", "light", "dark"], Form()],
    back: Annotated[str, Form(max_length=2000)] = "/",
) -> RedirectResponse:
    """Remembered in this browser; `system` follows the browser's own setting."""
    response = RedirectResponse(local_path(back), 303)
    if theme == "system":
        response.delete_cookie(THEME_COOKIE, httponly=True, samesite="lax")
    else:
        response.set_cookie(THEME_COOKIE, theme, max_age=YEAR_S, httponly=True, samesite="lax")
    return response
