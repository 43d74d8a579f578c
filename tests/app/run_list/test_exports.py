"""Exports as CSV and JSON read back as they were."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

from app.run_list.api import as_csv, as_json

COLUMNS = ("name", "share", "at", "tags", "none")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS = [('with "quotes", and\nlines', 0.1 + 0.2, AT, ["a", "b"], None), ("plain", 3, AT, [], None)]


def test_csv_is_read_back_as_it_was():
    head, first, second = csv.reader(io.StringIO("".join(as_csv(COLUMNS, ROWS))))
    assert tuple(head) == COLUMNS
    assert first == ['with "quotes", and\nlines', "0.30000000000000004", "2026-03-01T12:00:00+00:00", '["a", "b"]', ""]
    assert second[1] == "3"


def test_a_line_break_in_a_cell_starts_no_row():
    text = "".join(as_csv(("a", "b"), [("x\ry", "z")]))
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == [["x\ry", "z"]]


def test_a_name_that_a_spreadsheet_would_run_is_text():
    for evil in ("=1+1", "+1", "-1", "@x", "\t=1"):
        ((name,),) = csv.reader(io.StringIO("".join(as_csv(("name",), [(evil,)])).removeprefix("name\r\n")))
        assert name == f"'{evil}"
    assert "".join(as_csv(("n",), [(-1.5,)])) == "n\r\n-1.5\r\n", "a number is none"


def test_json_is_an_array_of_objects():
    found = json.loads("".join(as_json(COLUMNS, ROWS)))
    assert found[0] == {
        "name": ROWS[0][0], "share": 0.1 + 0.2, "at": AT.isoformat(), "tags": ["a", "b"], "none": None,
    }  # fmt: skip
    assert len(found) == 2
    assert json.loads("".join(as_json(COLUMNS, []))) == []
    assert "".join(as_csv(COLUMNS, [])) == ",".join(COLUMNS) + "\r\n"
