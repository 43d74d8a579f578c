"""The documents are complete and true: every setting, every make target, and no file or command that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import pytest

from app.settings import Settings
from tests.app.support.source_tree import ROOT, named
from tests.app.test_architecture import WINGS

DECISIONS = ROOT / "docs" / "decisions"
FOLDERS = "app trainer static templates tests benchmarks migrations docs"
# Paths as `app/board/ranking.py`, `templates/runs/`, `trainer/presets/*.py`. Addresses of pages begin with a slash.
PATH = re.compile(rf"(?<![\w./<>{{}}-])(?:{FOLDERS.replace(' ', '|')})/[\w./*-]*")
# A module with an attribute behind it, at most: `app.records.database`, `trainer.recipe.Recipe`
DOTTED = re.compile(r"(?<![\w./-])(?:app|trainer)(?:\.\w+)+(?!\w|/)")
# A file with part of its path: `worker/spool.py`, `run_charts.js`
SHORT = re.compile(r"(?<![\w./*-])(?!plotly\.js)(?:[\w-]+/)*[\w-]+\.(?:py|js|css|html)(?!\w)")  # Plotly is a product
MAKE = re.compile(r"(?:`|^|&& |[=:] )make ([a-z][a-z-]*)", re.MULTILINE)
COMMAND = re.compile(r"python -m ((?:app|trainer|tests|benchmarks)[\w.]*)(?: ([a-z][a-z_-]*))?")
IDENTIFIER = re.compile(r"`([A-Za-z_]\w+)(?:\(\))?`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#([^)]+))?\)")


@cache
def sources() -> frozenset[str]:
    files = (
        path for folder in FOLDERS.split() for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts
    )
    return frozenset(named(path) for path in files)


def documents() -> list[Path]:
    files = [*ROOT.glob("*.md"), ROOT / ".env.example", *(ROOT / "docs").rglob("*.md")]
    assert len(files) > 25
    return files


def has_module(dotted: str) -> bool:
    """A module, a package, a wing of the architecture test, or a top-level name of one: `app.home.router`."""
    path = dotted.replace(".", "/")
    if {path, f"{path}.py"} & sources():
        return True
    parent, _, name = path.rpartition("/")
    for file in (f"{parent}.py", f"{parent}/__init__.py"):
        if file in sources() and re.search(rf"\b{name}\b", (ROOT / file).read_text()):
            return True
    return dotted in WINGS


def subcommands(module: str) -> set[str]:
    """The words that the program of `python -m MODULE` names: its subcommands are among its string constants."""
    path = module.replace(".", "/")
    program = ROOT / (f"{path}.py" if f"{path}.py" in sources() else f"{path}/__main__.py")
    return set(re.findall(r"[\"' ]([a-z][a-z_-]*)[\"' ]", program.read_text()))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def missing(text: str) -> Iterator[str]:
    """Paths, modules and commands that a text names and that do not exist."""
    for match in PATH.finditer(text):
        path = match[0].rstrip("./")
        if path not in FOLDERS.split() and path not in sources() and not any(ROOT.glob(path)):
            yield f"there is no {path}"
    for match in DOTTED.finditer(text):
        if not has_module(match[0]):
            yield f"there is no module {match[0]}"
    for match in SHORT.finditer(text):
        if not any(path == match[0] or path.endswith(f"/{match[0]}") for path in sources()):
            yield f"there is no {match[0]}"
    for match in MAKE.finditer(text):
        if match[1] not in targets():
            yield f"there is no make {match[1]}"
    for module, verb in COMMAND.findall(text):
        path = module.rstrip(".").replace(".", "/")
        if not {f"{path}.py", f"{path}/__main__.py"} & sources():
            yield f"python -m {module} cannot be started"
        elif verb and verb not in subcommands(module.rstrip(".")):
            yield f"python -m {module} has no {verb}"


def unknown_words(item: str) -> Iterator[str]:
    """Identifiers in a step of a how-to that occur in none of the files that the step names."""
    files = [path for match in PATH.finditer(item) for path in ROOT.glob(match[0].rstrip("./")) if path.is_file()]
    text = "\n".join(path.read_text() for path in files)
    for word in IDENTIFIER.findall(item):
        if files and not re.search(rf"\b{word}\b", text):
            yield f"{word} is in none of {[named(path) for path in files]}"


def anchors(path: Path) -> set[str]:
    """The fragments of a Markdown file's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_setting_is_described():
    page = (ROOT / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"`{field.validation_alias or f'PITWALL_{name.upper()}'}`" in page, name
        assert field.description


def test_nothing_is_described_that_is_no_setting():
    page = (ROOT / "docs" / "settings.md").read_text()
    # besides, the worker's own
    known = {f"PITWALL_{name.upper()}" for name in Settings.model_fields} | {"PITWALL_SERVER", "PITWALL_WARM"}

    assert set(re.findall(r"PITWALL_[A-Z_]+[A-Z]", page)) <= known


def test_every_make_target_says_what_it_does():
    text = (ROOT / "Makefile").read_text()
    phony = set(" ".join(re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE)).split())
    described = re.findall(r"^([a-z][\w-]*):(.*)$", text, re.MULTILINE)

    assert {"run", "test", "lint"} <= phony
    assert {name for name, _ in described} == phony
    for name, rest in described:
        assert re.search(r"## \S.{9,}", rest), name


@pytest.mark.parametrize("path", documents(), ids=named)
def test_documents_name_only_files_modules_and_commands_that_exist(path: Path):
    assert list(missing(path.read_text())) == []


@pytest.mark.parametrize(
    "text",
    [
        "`app/board/rankings.py` sorts",
        "a page in `templates/run/`",
        "`static/js/dress.js`",
        "see `tests/app/test_house.py`.",
        "`trainer/recipe/*.json`",
        "`app.bord.ranking`",
        "`app.board.ranking.no_such_name`",
        "`dress.js` has the colours",
        "`worker/spools.py`",
        "`make tests` runs",
        "python -m trainer.wrker --server",
        ".venv/bin/python -m app bakcup FILE",
    ],
)
def test_a_planted_wrong_name_is_found(text: str):
    assert len(set(missing(text))) >= 1


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "how-to").glob("*.md")), ids=named)
def test_the_steps_of_a_how_to_name_what_is_in_their_files(path: Path):
    steps = re.split(r"^(?:\d+\.|-) ", path.read_text(), flags=re.MULTILINE)[1:]
    assert [sentence for step in steps for sentence in unknown_words(step.split("\n\n")[0])] == []


def test_a_planted_wrong_identifier_is_found():
    assert list(unknown_words("`app/application.py`: the router in `ROUTER_LIST`."))
    assert not list(unknown_words("`app/application.py`: the router in `ROUTERS`."))


@pytest.mark.parametrize("path", documents(), ids=named)
def test_links_of_documents_lead_somewhere(path: Path):
    for target, anchor in LINK.findall(path.read_text()):
        place = path.parent / target
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), f"{target}#{anchor}"


@pytest.mark.parametrize("path", sorted(DECISIONS.glob("*.md")), ids=named)
def test_every_decision_has_a_number_a_date_and_a_status(path: Path):
    title, blank, dated, status = path.read_text().splitlines()[:4]

    assert re.fullmatch(rf"# {int(path.name[:4])}\. \S.*", title)
    assert blank == ""
    assert date.fromisoformat(dated.removeprefix("Date: ")) <= datetime.now(UTC).date()
    assert re.fullmatch(r"Status: (accepted|superseded by \[\d+\]\(.+\)|amended .+)", status)


def test_numbers_of_decisions_are_unique_and_without_a_gap():
    assert [int(path.name[:4]) for path in sorted(DECISIONS.glob("*.md"))] == list(
        range(1, len(list(DECISIONS.glob("*.md"))) + 1)
    )


def test_the_table_of_wings_is_that_of_the_architecture_test():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = dict(re.findall(r"^\| `((?:app|trainer)\.\w+)` \| (.*?) \|", page, re.MULTILINE))

    assert {wing: set(words.replace("–", "").split()) for wing, words in rows.items()} == {
        wing: set(rule.imports.split()) for wing, rule in WINGS.items()
    }
    arrows = {
        top: sum(len(rule.imports.split()) for wing, rule in WINGS.items() if wing.startswith(top))
        for top in ("app.", "trainer.")
    }
    assert f"{arrows['app.']} imports between its" in page and f"and {arrows['trainer.']} between" in page
