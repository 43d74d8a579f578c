"""Jinja: the environment, the filters that format values, and `page`."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.charts.svg import static_chart
from app.metrics import accuracy
from app.records import disk
from app.web import assets
from app.web.labels import CONCERNS, FAILURES, OUTCOMES, STATUSES, epoch_label

ROOT = Path(__file__).parents[2]
MINUTE, HOUR = 60, 3600
THEME_COOKIE = "pitwall_theme"
THEMES = ("system", "light", "dark")


def page(request: Request, template: str, context: dict[str, Any], status: int = 200) -> HTMLResponse:
    """Render a template.

    Every template gets the request's path and full address, the theme of this browser, whether there is a login, and a
    `notice` if the disk or the records have a problem.
    """
    state = request.app.state.pitwall
    shared = {
        "path": request.url.path,
        "address": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "has_login": bool(state.tokens.login),
        "theme": _theme(request),
        "themes": THEMES,
        "notice": disk.storage_notice(state.settings.data_dir, state.records.trouble),
    }
    return HTMLResponse(environment().get_template(template).render(shared | context), status)


def _theme(request: Request) -> str:
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else THEMES[0]


@cache
def environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "percent": percent,
        "percent0": lambda share: f"{share * 100:.0f}\u202f%",
        "percent_end": lambda share: percent(min(max(share, 0.0), 1.0)),  # no interval ends outside 0..1
        "points": points,
        "static_chart": static_chart,
        "of_unit": format_value,
        "duration": duration,
        "when": when,
        "figure": figure,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "json_data": json_data,
        "markdown": markdown,
        "compact_json": lambda value: json.dumps(value, separators=(",", ":")),
        "field_id": field_id,
        "tta": accuracy.describe_tta,
        "size": disk.format_bytes,
        "pretty_json": lambda value: json.dumps(value, indent=2),
    }
    env.globals |= {"static": static, "stylesheet": assets.stylesheet_address, "epoch_label": epoch_label}
    env.globals |= {"statuses": STATUSES, "failures": FAILURES, "concerns": CONCERNS, "outcomes": OUTCOMES}
    return env


def percent(share: float | None) -> str:
    """0.94123 -> 94.12 %; None -> a dash."""
    return "–" if share is None else f"{share * 100:.2f}\u202f%"


def points(difference: float) -> str:
    """The difference of two shares in percentage points: 0.0123 -> +1.23 points."""
    return f"{difference * 100:+.2f}\u202fpoints".replace("-", "−")


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units that matter: 4.2 s, 3 min 05 s, 2 h 14 min."""
    if seconds is None:
        return "–"
    if round(seconds, 1) < MINUTE:
        return f"{seconds:.1f}\u202fs"
    total = round(seconds)
    if total < HOUR:
        return f"{total // MINUTE}\u202fmin {total % MINUTE:02d}\u202fs"
    return f"{total // HOUR}\u202fh {total % HOUR // MINUTE:02d}\u202fmin"


def figure(value: float | None, digits: int = 4) -> str:
    """A number with at most `digits` significant digits."""
    return "–" if value is None else f"{value:.{digits}g}"


def format_value(value: Any, unit: str) -> Markup | str:
    """A value in the unit of a board metric or a column of the run list."""
    if value is None:
        return "–"
    match unit:
        case "share":
            return percent(value)
        case "seconds":
            return duration(value)
        case "time":
            return when(value)
        case "word":
            return format_setting(value)
        case "epochs" | "number":
            return f"{value:.4g}"
        case "money":
            return f"{value:,.2f}" if value >= 1 else f"{value:.2g}"
    return f"{value:,.0f}\u202f{unit}" if value >= 1000 else f"{value:.3g}\u202f{unit}"


def format_setting(value: Any) -> str:
    """A setting's value as recipes write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def when(time: datetime | None) -> Markup | str:
    """A time element; local_times.js writes it in the reader's own zone."""
    if time is None:
        return "–"
    return Markup('<time datetime="{}">{} UTC</time>').format(time.isoformat(), time.strftime("%Y-%m-%d %H:%M"))


def field_id(path: str) -> str:
    """The id of a setting's form field; all knots share one field."""
    return re.sub(r"(\.knots)\..*", r"\1", path).replace(".", "-")


def json_data(value: Any) -> Markup:
    """JSON for a `<script type="application/json">`: text cannot end the element."""
    return Markup(json.dumps(value).replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704


def static(name: str) -> str:
    """The address of a static file, with the hash of its content."""
    return f"/static/{name}?v={_content_hash(name)}"


@cache
def _content_hash(name: str) -> str:
    return hashlib.sha256((ROOT / "static" / name).read_bytes()).hexdigest()[:12]


def markdown(text: str) -> Markup:
    """HTML and `javascript:` links stay text. Images become links: loading one would need a network and tell its host
    who reads the page.
    """
    from markdown_it import MarkdownIt  # most pages have no notes

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    return Markup(parser.render(text))  # noqa: S704  # escaped by the library, html is off
