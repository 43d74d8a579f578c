"""The table of runs on the list, home and group pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app.run_list.columns import Column, column_values
from app.runs import schemas


def build_run_table(
    session: Session,
    steps: Mapping[int, Mapping[str, Any]],
    rows: Any,
    columns: list[Column],
    *,
    has_boxes: bool = False,
) -> dict[str, Any]:
    """Context of `macros.run_table` and `runs/_rows.html`."""
    query = [("column", column.key) for column in columns] + ([("boxes", "1")] if has_boxes else [])
    return {
        "runs": [schemas.RunResponse.model_validate(run) for run in rows],
        "columns": columns,
        "cells": column_values(session, rows, columns),
        "has_boxes": has_boxes,
        "rows_from": "/fragments/rows?" + urlencode(query),
        "steps": steps,
    }
