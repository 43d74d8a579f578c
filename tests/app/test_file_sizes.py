"""How large a room may get, and what it may be called."""

from __future__ import annotations

import ast
import statistics

import pytest

from tests.app.support.source_tree import ROOT, named, sources, tree_of


def test_no_module_has_a_name_that_says_nothing():
    forbidden = {"utils", "util", "helpers", "helper", "common", "manager", "service", "services", "core", "misc"}
    found = sources("app", "trainer", "tests", "migrations")
    for path in [*found, *(ROOT / "static").rglob("*"), *(ROOT / "templates").rglob("*")]:
        assert path.stem.lstrip("_") not in forbidden, path


def test_modules_stay_small_and_say_what_they_are():
    lengths = {path: len(path.read_text().splitlines()) for path in sources("app", "trainer", "tests", "benchmarks")}
    modules = sources("app", "trainer")
    for path in modules:
        assert ast.get_docstring(tree_of(path)), named(path)
        if path.name == "__init__.py":
            assert lengths[path] == 1, named(path)

    assert {named(path): length for path, length in lengths.items() if length > 300} == {}
    assert statistics.median(lengths[path] for path in modules if path.name != "__init__.py") <= 120  # about 100


@pytest.mark.parametrize(
    ("folder", "pattern", "most", "at_least"),
    [("templates", "*.html", 120, 10), ("static/js", "*.js", 130, 5), ("static/css", "*.css", 200, 4)],
)
def test_front_end_files_stay_small(folder: str, pattern: str, most: int, at_least: int):
    files = list((ROOT / folder).rglob(pattern))

    assert len(files) >= at_least
    assert {named(path): n for path in files if (n := len(path.read_text().splitlines())) > most} == {}
