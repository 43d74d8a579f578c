"""What a list of runs shows, as a file: CSV for sheets, JSON for scripts. Pure functions of rows.

Must not know HTTP or the database.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# A sheet takes a cell that begins so for a formula: names are other people's text.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Line by line, the head first. Numbers stay numbers, times RFC 3339, nothing for null."""
    yield _line(columns)
    for row in rows:
        yield _line([_cell(value) for value in row])


def as_json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """An array of objects, piece by piece."""
    before = "[\n"
    for row in rows:
        yield before + json.dumps(dict(zip(columns, map(_plain, row), strict=True)))
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _cell(value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, list | dict):
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else "" if value is None else value
