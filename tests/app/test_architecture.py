"""The house as drawn: one rule a wing. `docs/architecture.md` has the picture."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.app.support.source_tree import ROOT, imports, module_of, named, sources, tree_of

FRAMEWORKS = {"tensorflow", "keras", "jax", "torch", "sklearn"}
WEB = {"app", "sqlalchemy", "fastapi", "starlette", "uvicorn", "alembic", "jinja2"}
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
    "app.records": Wing("errors", sql="*"),
    "app.metrics": Wing("json_shapes records", sql="accuracy curves"),
    "app.images": Wing("errors records", sql="predictions"),
    "app.live": Wing("errors records", sql="events", http="events"),
    "app.charts": Wing("metrics"),
    "app.web": Wing("errors settings records metrics images live charts", http="*"),
    "app.runs": Wing(
        "errors json_shapes records metrics live web",
        sql="runs lifecycle timeline responses", http="api streams", writes="runs lifecycle",
    ),
    "app.workers": Wing(
        "errors json_shapes records metrics live web runs",
        sql="queue reports fast_reports listing", http="api artifacts listing task_api",
        writes="queue reports fast_reports",
    ),
    "app.run_list": Wing(
        "errors json_shapes records metrics web runs", sql="columns listing", http="api pages query"
    ),
    "app.board": Wing(
        "errors json_shapes records metrics charts web runs workers run_list",
        sql="ranking samples groups", http="api pages group_pages", writes="ranking",
    ),
    "app.launch": Wing(
        "errors json_shapes records images charts web runs run_list", sql="estimates", http="api form pages previews"
    ),
    "app.compare": Wing(
        "errors json_shapes records metrics images charts web runs run_list board",
        http="api pages query document",
    ),
    "app.webhooks": Wing("errors settings records live web runs", sql="deliveries", http="pages", writes="deliveries"),
    "app.architecture": Wing("errors json_shapes web runs launch", http="pages"),
    "app.run_page": Wing(
        "errors json_shapes records metrics images charts web runs workers run_list board launch",
        http="pages actions try_model dawnbench",
    ),
    "app.health": Wing("records web workers run_list", sql="*", http="*"),
    "app.home": Wing("errors records metrics live charts web runs workers run_list board", http="*"),
    "app.application": Wing(
        "errors web runs workers run_list board launch compare webhooks architecture run_page health home", http="*"
    ),
    "app.cli": Wing("errors settings records web workers", sql="backup restore", writes="restore"),
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


def wing_of(path: Path) -> str:
    """`app.board` of app/board/ranking.py, `app.home` of app/home.py."""
    return ".".join(module_of(path).split(".")[:2])


def rule_of(path: Path) -> tuple[Wing, str]:
    """The rule of a file's wing, and what the file is called in it."""
    return WINGS[wing_of(path)], path.stem


def allows(words: str, name: str) -> bool:
    return words == "*" or name in words.split()


def files() -> list[Path]:
    return [path for path in sources("app", "trainer") if wing_of(path) not in {"app", "trainer"}]


# What breaks a rule: each answers sentences, none where all is well.


def strange_imports(path: Path) -> Iterator[str]:
    """A wing that imports one that its rule does not name."""
    rule, _ = rule_of(path)
    top = module_of(path).split(".", maxsplit=1)[0]
    for name in imports(path):
        first, _, rest = name.partition(".")
        if first not in {"app", "trainer"} or not rest:
            continue
        wing = f"{first}.{rest.split('.')[0]}"
        if wing == wing_of(path) or wing not in WINGS:
            continue
        allowed = rule.imports if first == top else LIGHT if top == "app" else ""
        if not allows(allowed, wing.partition(".")[2]):
            yield f"{named(path)} imports {name}"


def foreign_sql(path: Path) -> Iterator[str]:
    """SQLAlchemy beyond the session that is handed on, where the rule names no SQL."""
    rule, name = rule_of(path)
    for taken in imports(path):
        is_sql = taken.startswith("sqlalchemy") and taken not in {"sqlalchemy.orm", "sqlalchemy.orm.Session"}
        if (is_sql or taken.startswith("pysqlite3")) and not allows(rule.sql, name):
            yield f"{named(path)} imports {taken}"


def foreign_http(path: Path) -> Iterator[str]:
    rule, name = rule_of(path)
    for taken in imports(path):
        if taken.partition(".")[0] in {"fastapi", "starlette"} and not allows(rule.http, name):
            yield f"{named(path)} imports {taken}"


def foreign_writes(path: Path) -> Iterator[str]:
    """Rows that are changed where the rule names no writer."""
    rule, name = rule_of(path)
    if allows(rule.writes, name) or wing_of(path) == "app.records":
        return
    taken = {one.rpartition(".")[2] for one in imports(path) if one.startswith("sqlalchemy.")}
    if taken & {"insert", "update", "delete"}:
        yield f"{named(path)} imports {taken & {'insert', 'update', 'delete'}}"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WRITES.match(node.value):
            yield f"{named(path)}:{node.lineno} writes by text"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "session"
            and node.func.attr in WRITE_METHODS
        ):
            yield f"{named(path)}:{node.lineno} calls session.{node.func.attr}"


def environment_reads(path: Path) -> Iterator[str]:
    """Lines that touch os.environ or os.getenv, other than setting a variable."""
    sets = {
        id(target.value)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript)
    }
    for node in ast.walk(tree_of(path)):
        is_read = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
        is_import = isinstance(node, ast.ImportFrom) and {one.name for one in node.names} & {
            "environ",
            "getenv",
            "BaseSettings",
        }
        if ((is_read and id(node) not in sets) or is_import) and named(path) not in ENVIRONMENT:
            yield f"{named(path)}:{getattr(node, 'lineno', 0)} reads the environment"


def foreign_engines(path: Path) -> Iterator[str]:
    """An engine, records or an app that is built by anybody but the door and the command line."""
    if named(path) in {"app/__main__.py", "app/records/database.py"}:
        return
    for node in ast.walk(tree_of(path)):
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if called in {"create_engine", "Records", "create_app", "Tokens"}:
            yield f"{named(path)}:{getattr(node, 'lineno', 0)} builds {called}"


RULES = (strange_imports, foreign_sql, foreign_http, foreign_writes, environment_reads, foreign_engines)


@pytest.mark.parametrize("rule", RULES)
def test_nobody_breaks_the_rule(rule):
    assert [sentence for path in files() for sentence in rule(path)] == []


@pytest.mark.parametrize(
    ("rule", "place", "line"),
    [
        (strange_imports, "app/metrics/planted.py", "from app.board import ranking"),
        (strange_imports, "app/runs/planted.py", "from app.run_list.listing import load_page"),
        (strange_imports, "app/board/planted.py", "from trainer.loop.train import train"),
        (strange_imports, "app/images/planted.py", "import trainer.engine.net"),
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
def test_each_rule_finds_what_is_planted(rule, place: str, line: str, monkeypatch: pytest.MonkeyPatch):
    """The file is only thought of: its text is handed to the rule as if it stood there."""
    planted = ROOT / place
    really = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, *a, **k: line if path == planted else really(path, *a, **k))
    tree_of.cache_clear()

    found = list(rule(planted))

    tree_of.cache_clear()
    assert found and all(place in sentence for sentence in found)


def test_every_module_stands_in_a_wing_that_has_a_rule():
    assert {wing_of(path) for path in files()} == set(WINGS)


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
        paths = [path for path in files() if wing_of(path) == wing]
        used = {
            name.split(".")[1] for path in paths for name in imports(path) if name.startswith(wing.split(".")[0] + ".")
        }
        assert set(rule.imports.split()) <= used, wing
        for words, rule_for in ((rule.sql, foreign_sql), (rule.http, foreign_http), (rule.writes, foreign_writes)):
            names = {path.stem for path in paths}
            assert words == "*" or set(words.split()) <= names, (wing, rule_for.__name__)


# One interpreter loads the libraries and forks once for each list of modules: ours are imported afresh.
IMPORTER = """
import importlib, json, os, sys, warnings
warnings.simplefilter("ignore")
libraries, modules = json.loads(sys.argv[1])
for library in libraries:
    importlib.import_module(library)
found = {}
for module in modules:
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            for one in module.split(","):
                importlib.import_module(one)
            said = sorted({name.partition(".")[0] for name in sys.modules})
        except BaseException as error:
            said = [f"!{type(error).__name__}: {error}"]
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        found[module] = json.loads(answer.read())
    os.waitpid(child, 0)
print(json.dumps(found))
"""
LIBRARIES = ("numpy", "pydantic", "httpx2")


@cache
def loaded(libraries: tuple[str, ...], *modules: str) -> dict[str, set[str]]:
    """What is in sys.modules after each module was imported alone; `!…` where it could not be."""
    asked = json.dumps([libraries, modules])
    done = subprocess.run(
        [sys.executable, "-c", IMPORTER, asked], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return {module: set(names) for module, names in json.loads(done.stdout).items()}


def test_no_module_of_the_app_loads_an_ml_framework():
    modules = ",".join(module_of(path) for path in sources("app"))  # together: each takes half a second
    for module, names in loaded((), modules).items():
        assert not [name for name in names if name.startswith("!")], (module, names)
        assert not names & FRAMEWORKS, module


def test_no_light_module_of_the_trainer_loads_a_framework_or_the_app():
    light = {f"trainer.{name}" for name in LIGHT.split()} | {"trainer.worker"}
    modules = [module_of(path) for path in sources("trainer") if wing_of(path) in light and path.stem != "__main__"]
    assert len(modules) > 40
    for module, names in loaded(LIBRARIES, *modules).items():
        assert not [name for name in names if name.startswith("!")], (module, names)
        assert not names & (FRAMEWORKS | WEB), module


def test_nothing_of_the_trainer_loads_the_app():
    """What imports a framework at once is read, not run: see the rule of imports."""
    modules = [
        module_of(path)
        for path in sources("trainer")
        if wing_of(path) in {"trainer.loop", "trainer.inference"} and path.stem != "keras_model"
    ]
    assert len(modules) > 10
    for module, names in loaded(LIBRARIES, *modules).items():
        assert not names & WEB, module


MISSING = """
import sys
from pathlib import Path
from trainer.failures import DatasetMissing
from trainer.loop.train import train
from trainer.recipe import Recipe

try:
    train(Recipe.model_validate({"dataset": {"name": "folder:none"}}), print, Path("/nonexistent"), lambda: False)
except DatasetMissing:
    print("tensorflow" in sys.modules)
"""


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        (MISSING, ["False"]),
        ("import sys, trainer.augment.host; print('imgaug' in sys.modules, 'cv2' in sys.modules)", ["False", "False"]),
    ],
    ids=["a missing data set", "the host's augmentation"],
)
def test_what_takes_seconds_to_import_is_imported_only_when_used(program: str, answer: list[str]):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == answer
