"""How large a room may get, and what it may be called."""

from __future__ import annotations

import ast
import statistics
from collections import Counter

import pytest

from tests.app.support.source_tree import ROOT, named, sources, tree_of


def test_no_module_has_a_name_that_says_nothing():
    forbidden = {"utils", "util", "helpers", "helper", "common", "manager", "service", "services", "core", "misc"}
    found = sources("app", "trainer", "tests", "migrations")
    for path in [*found, *(ROOT / "static").rglob("*"), *(ROOT / "templates").rglob("*")]:
        assert path.stem.lstrip("_") not in forbidden, path


def test_a_file_is_as_long_as_one_idea():
    lengths = {path: len(path.read_text().splitlines()) for path in sources("app", "trainer", "tests", "benchmarks")}
    modules = [path for path in sources("app", "trainer") if path.name != "__init__.py"]

    assert {named(path): length for path, length in lengths.items() if length > 400} == {}
    assert statistics.median(lengths[path] for path in modules) <= 150
    for path in modules:
        assert ast.get_docstring(tree_of(path)), named(path)


def test_a_folder_is_looked_over_at_a_glance():
    counts = Counter(path.parent for path in sources("app", "trainer", "tests", "benchmarks"))

    assert {named(folder): count for folder, count in counts.items() if count > 16} == {}


def test_what_opens_a_folder_says_what_it_holds_and_does_nothing():
    """One line of prose, or names that it hands on."""
    for path in sources("app", "trainer"):
        if path.name == "__init__.py":
            assert ast.get_docstring(tree_of(path)), named(path)
            for node in tree_of(path).body[1:]:
                is_name = isinstance(node, ast.ImportFrom | ast.Assign)
                assert is_name, (named(path), ast.unparse(node))


@pytest.mark.parametrize(
    ("folder", "pattern", "most", "at_least"),
    [("templates", "*.html", 120, 10), ("static/js", "*.js", 130, 5), ("static/css", "*.css", 200, 4)],
)
def test_front_end_files_stay_small(folder: str, pattern: str, most: int, at_least: int):
    files = list((ROOT / folder).rglob(pattern))

    assert len(files) >= at_least
    assert {named(path): n for path in files if (n := len(path.read_text().splitlines())) > most} == {}
