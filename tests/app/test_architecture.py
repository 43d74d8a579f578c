"""The house as drawn: one rule a wing. `docs/architecture.md` has the picture."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.app.support.source_tree import imported, named, sources, tree_of

LIGHT = "recipe presets data augment models machine events protocol failures"  # of trainer: what app may import


@dataclass(frozen=True)
class Wing:
    """What the modules of a wing may know.

    `imports`: wings beside itself. `sql`, `http`: which of its modules name SQLAlchemy (more than its Session) and
    FastAPI; `*`: all of them. `writes`: which change rows.
    """

    imports: str
    sql: str = ""
    http: str = ""
    writes: str = ""


# A wing imports only what stands above it in this list, so no arrow goes up and none goes in a circle.
WINGS = {
    "app.errors": Wing(""),
    "app.json_shapes": Wing(""),
    "app.settings": Wing(""),
    "app.timing": Wing(""),
    "app.records": Wing("errors timing", sql="*"),
    "app.metrics": Wing("json_shapes records", sql="accuracy curves"),
    "app.images": Wing("errors records", sql="predictions"),
    "app.live": Wing("errors timing records", sql="events", http="events"),
    "app.charts": Wing("metrics"),
    "app.web": Wing("errors settings timing records metrics images live charts", http="*"),
    "app.runs": Wing(
        "errors json_shapes records metrics live web",
        sql="runs lifecycle timeline responses", http="api streams", writes="runs lifecycle",
    ),
    "app.workers": Wing(
        "errors json_shapes records metrics live web runs",
        sql="queue reports listing prices", http="api artifacts listing task_api",
        writes="queue reports",
    ),
    "app.run_list": Wing(
        "errors json_shapes records metrics web runs", sql="columns listing folded", http="api pages query"
    ),
    "app.board": Wing(
        "errors json_shapes records metrics live charts web runs workers run_list",
        sql="baselines ranking samples groups settles", http="api pages group_pages settle_pages verdict_api",
        writes="baselines settles",
    ),
    "app.launch": Wing(
        "errors json_shapes records images charts web runs workers run_list",
        sql="estimates", http="api form pages previews",
    ),
    "app.compare": Wing(
        "errors json_shapes records metrics images charts web runs workers run_list board",
        sql="tries", http="api pages query document",
    ),
    "app.webhooks": Wing("errors settings records live web", sql="deliveries", http="pages", writes="deliveries"),
    "app.architecture": Wing("errors json_shapes web runs launch", http="pages"),
    "app.run_page": Wing(
        "errors json_shapes records metrics images live charts web runs workers run_list board launch",
        http="pages actions try_model dawnbench",
    ),
    "app.health": Wing("records web workers run_list", sql="*", http="*"),
    "app.home": Wing("errors records metrics live charts web runs workers run_list board", http="*"),
    "app.application": Wing(
        "errors web runs workers run_list board launch compare webhooks architecture run_page health home", http="*"
    ),
    "app.cli": Wing("errors settings timing records web workers", sql="backup restore", writes="restore"),
    "app.__main__": Wing("errors settings records metrics images live web launch application cli"),
    "trainer.failures": Wing(""),
    "trainer.protocol": Wing(""),
    "trainer.events": Wing(""),
    "trainer.recipe": Wing("events"),
    "trainer.presets": Wing("recipe"),
    "trainer.machine": Wing(""),
    "trainer.data": Wing("failures recipe"),
    "trainer.augment": Wing("failures recipe machine"),
    "trainer.models": Wing("recipe augment"),
    "trainer.engine": Wing("failures recipe machine augment models"),
    "trainer.loop": Wing("failures protocol events recipe machine data augment models engine"),
    "trainer.inference": Wing("failures recipe machine data augment models engine loop"),
    "trainer.worker": Wing("failures protocol machine loop"),
    "trainer.__main__": Wing("failures events recipe presets machine loop"),
}  # fmt: skip

# Who may read the environment, and why.
ENVIRONMENT = {
    "app/settings.py": "one frozen Settings (pydantic-settings reads for it)",
    "trainer/worker/__main__.py": "a worker on another machine has no Settings",
    "trainer/worker/worker.py": "hands its environment on to its children, without our settings",
}

WRITES = re.compile(r"\s*(INSERT INTO|UPDATE \w+ SET|DELETE FROM|REPLACE INTO)\b")
WRITE_METHODS = {
    "add",
    "add_all",
    "merge",
    "delete",
    "bulk_save_objects",
    "bulk_insert_mappings",
    "bulk_update_mappings",
}


def wing_of(place: str) -> str:
    """`app.board` of app/board/ranking.py, `app.home` of app/home.py."""
    return ".".join(place.removesuffix(".py").split("/")[:2])


def allows(words: str, name: str) -> bool:
    return words == "*" or name in words.split()


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Each file of the wings, from the repository's root, with its syntax."""
    for path in sources("app", "trainer"):
        if named(path) not in {"app/__init__.py", "trainer/__init__.py"}:
            yield named(path), tree_of(path)


# What breaks a rule: each answers sentences, none where all is well.


def strange_imports(place: str, tree: ast.Module) -> Iterator[str]:
    """A wing that imports one that its rule does not name."""
    rule, top = WINGS[wing_of(place)], place.partition("/")[0]
    for name in imported(tree):
        first, _, rest = name.partition(".")
        wing = f"{first}.{rest.partition('.')[0]}"
        if wing == wing_of(place) or wing not in WINGS:
            continue
        allowed = rule.imports if first == top else LIGHT if top == "app" else ""
        if not allows(allowed, wing.partition(".")[2]):
            yield f"{place} imports {name}"


def foreign_sql(place: str, tree: ast.Module) -> Iterator[str]:
    """SQLAlchemy beyond the session that is handed on, where the rule names no SQL."""
    rule = WINGS[wing_of(place)]
    for name in imported(tree):
        is_sql = name.startswith("sqlalchemy") and name not in {"sqlalchemy.orm", "sqlalchemy.orm.Session"}
        if (is_sql or name.startswith("pysqlite3")) and not allows(rule.sql, Path(place).stem):
            yield f"{place} imports {name}"


def foreign_http(place: str, tree: ast.Module) -> Iterator[str]:
    """FastAPI or Starlette where the rule names no HTTP."""
    rule = WINGS[wing_of(place)]
    for name in imported(tree):
        if name.partition(".")[0] in {"fastapi", "starlette"} and not allows(rule.http, Path(place).stem):
            yield f"{place} imports {name}"


def foreign_writes(place: str, tree: ast.Module) -> Iterator[str]:
    """Rows that are changed where the rule names no writer."""
    if wing_of(place) == "app.records" or allows(WINGS[wing_of(place)].writes, Path(place).stem):
        return
    taken = {name.rpartition(".")[2] for name in imported(tree) if name.startswith("sqlalchemy.")}
    if found := taken & {"insert", "update", "delete"}:
        yield f"{place} imports {found}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WRITES.match(node.value):
            yield f"{place}:{node.lineno} writes by text"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func.value) == "session"
            and node.func.attr in WRITE_METHODS
        ):
            yield f"{place}:{node.lineno} calls session.{node.func.attr}"


def environment_reads(place: str, tree: ast.Module) -> Iterator[str]:
    """Lines that touch os.environ or os.getenv, other than setting a variable."""
    if place in ENVIRONMENT:
        return
    sets = {
        id(target.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript)
    }
    names = {"environ", "environb", "getenv", "BaseSettings"}
    for node in ast.walk(tree):
        is_read = isinstance(node, ast.Attribute) and node.attr in names and id(node) not in sets
        is_import = isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} & names
        if is_read or is_import:
            yield f"{place}:{getattr(node, 'lineno', 0)} reads the environment"


def foreign_engines(place: str, tree: ast.Module) -> Iterator[str]:
    """An engine, records or an app that is built by anybody but the door and the command line."""
    if place in {"app/__main__.py", "app/records/database.py"}:
        return
    for node in ast.walk(tree):
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if called in {"create_engine", "Records", "create_app", "Tokens"}:
            yield f"{place}:{getattr(node, 'lineno', 0)} builds {called}"


RULES = (strange_imports, foreign_sql, foreign_http, foreign_writes, environment_reads, foreign_engines)


@pytest.mark.parametrize("rule", RULES)
def test_nobody_breaks_the_rule(rule):
    assert [sentence for place, tree in modules() for sentence in rule(place, tree)] == []


@pytest.mark.parametrize(
    ("rule", "place", "line"),
    [
        (strange_imports, "app/metrics/planted.py", "from app.board import ranking"),
        (strange_imports, "app/runs/planted.py", "from app.run_list.listing import load_page"),
        (strange_imports, "app/board/planted.py", "from trainer.loop.train import train"),
        (strange_imports, "app/images/planted.py", "import trainer.engine.model"),
        (strange_imports, "trainer/recipe/planted.py", "from trainer.augment import draws"),
        (strange_imports, "trainer/loop/planted.py", "from app.errors import Problem"),
        (foreign_sql, "app/run_page/planted.py", "from sqlalchemy import select"),
        (foreign_sql, "app/compare/planted.py", "import pysqlite3"),
        (foreign_sql, "trainer/data/planted.py", "import sqlalchemy"),
        (foreign_http, "app/metrics/planted.py", "from fastapi import Request"),
        (foreign_http, "app/board/planted.py", "from starlette.responses import Response"),
        (foreign_writes, "app/board/planted.py", "from sqlalchemy import update"),
        (foreign_writes, "app/run_list/planted.py", "def change(session):\n    session.add(1)"),
        (foreign_writes, "app/launch/planted.py", 'QUERY = "DELETE FROM runs"'),
        (environment_reads, "app/web/planted.py", "import os\nHOME = os.environ['HOME']"),
        (environment_reads, "trainer/data/planted.py", "from os import getenv"),
        (
            foreign_engines,
            "app/launch/planted.py",
            "from app.records.database import Records\nR = Records('sqlite://')",
        ),
    ],
)
def test_each_rule_finds_what_is_planted(rule, place: str, line: str):
    found = list(rule(place, ast.parse(line)))
    assert found and all(place in sentence for sentence in found)


def test_every_module_stands_in_a_wing_that_has_a_rule():
    assert {wing_of(place) for place, _ in modules()} == set(WINGS)


def test_no_wing_imports_one_that_is_drawn_below_it():
    """Names stand in the order in which they may be imported, so there is no circle and no pair that runs both ways."""
    order = list(WINGS)
    for name, rule in WINGS.items():
        for other in rule.imports.split():
            full = f"{name.partition('.')[0]}.{other}"
            assert order.index(full) < order.index(name), (name, full)


def test_no_rule_allows_what_nobody_does():
    """A permission that is not used any more goes."""
    for wing, rule in WINGS.items():
        trees = {Path(place).stem: tree for place, tree in modules() if wing_of(place) == wing}
        used = {
            name.split(".")[1]
            for tree in trees.values()
            for name in imported(tree)
            if name.startswith(wing.partition(".")[0] + ".")
        }
        assert set(rule.imports.split()) <= used, wing
        for words in (rule.sql, rule.http, rule.writes):
            assert words == "*" or set(words.split()) <= set(trees), wing


def replaces_parts(tree: ast.Module) -> bool:
    """Whether it calls a `setattr`, or assigns into `vars(…)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and "setattr" in {getattr(node.func, "attr", ""), getattr(node.func, "id", "")}:
            return True
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Subscript) and getattr(getattr(target.value, "func", None), "id", "") == "vars":
                return True
    return False


def test_only_planted_faults_replace_a_part_of_ours():
    """Every other test passes in what it wants otherwise: replaced names break, or no longer count, when they move."""
    trees = {named(path): tree_of(path) for path in sources("tests", "benchmarks")}
    planting = "tests.trainer.loop.planted_faults"

    assert [name for name, tree in trees.items() if replaces_parts(tree)] == ["tests/trainer/loop/planted_faults.py"]
    assert [name for name, tree in trees.items() if planting in imported(tree)] == [
        "tests/trainer/loop/test_disconnected.py"
    ]
