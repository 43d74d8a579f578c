"""What no page may do: fetch from elsewhere, hold a script, build code from text."""

from __future__ import annotations

import re
from pathlib import Path

from tests.app.support.source_tree import ROOT, named


def front_end() -> list[Path]:
    files = [path for folder in ("templates", "static") for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert len(files) > 20
    return [path for path in files if path.suffix in {".html", ".js", ".css", ".svg"} and path.parent.name != "vendor"]


def test_nothing_is_fetched_from_elsewhere():
    for path in front_end():
        text = re.sub(r'xmlns(:\w+)?="[^"]*"', "", path.read_text())
        assert not re.search(r"(https?:)?//[\w-]+\.[\w.-]+/|https?://", text), named(path)


def test_no_template_holds_a_script_or_a_handler():
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text()
        if path.name == "document.html":  # downloaded, never served as a page
            continue
        for script in re.findall(r"<script\b[^>]*>", text):
            assert "src=" in script or 'type="application/json"' in script, (named(path), script)
        assert not re.search(r"<[^>]*\son\w+\s*=", text), named(path)
        assert "javascript:" not in text, named(path)
        assert "| safe" not in text, named(path)
        assert "autoescape false" not in text, named(path)


def test_no_script_builds_code_from_text():
    for path in (ROOT / "static").rglob("*.js"):
        assert not re.search(r"\beval\(|new Function\(|document\.write\(|insertAdjacentHTML", path.read_text()), path


def test_static_charts_are_styled_by_their_own_file_alone():
    """Roles of figures are classes in it, and all styles come in one file: `.planned` was once a card of the form."""
    styles = ROOT / "static" / "css"
    kinds = set(re.findall(r"--chart-([a-z]+)", (styles / "tokens.css").read_text()))
    kinds |= set(
        re.findall(r"^\.static-chart \.([a-z]+) \{[^}]*stroke", (styles / "static_chart.css").read_text(), re.MULTILINE)
    )
    assert {"planned", "train", "run", "mean", "faint", "grid"} <= kinds
    for path in styles.glob("*.css"):
        if path.name != "static_chart.css":
            alone = set(re.findall(r"(?:^|[,}])\s*\.([a-z]+)(?=\s*[{,:])", path.read_text(), re.MULTILINE))
            assert not alone & kinds, (path.name, alone & kinds)
