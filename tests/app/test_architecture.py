"""The house as drawn: who may know whom, who reads the environment, who writes SQL, how large a room may get."""

from __future__ import annotations

import ast
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from app.settings import Settings

ROOT = Path(__file__).parent.parent.parent
FRAMEWORKS = {"tensorflow", "keras", "jax", "torch", "sklearn"}
WEB = {"app", "sqlalchemy", "fastapi", "starlette", "uvicorn", "alembic", "jinja2"}

# What the web process and the worker may import: no ML framework behind any of them.
LIGHT = {
    "trainer.recipe", "trainer.knobs", "trainer.presets", "trainer.schedules", "trainer.datasets", "trainer.events",
    "trainer.augment.draws", "trainer.augment.operations", "trainer.worker", "trainer.client", "trainer.spool",
    "trainer.child", "trainer.devices", "trainer.exits", "trainer.parent", "trainer.failures",
}  # fmt: skip

# Who may read the environment, and why.
ENVIRONMENT = {
    "app/settings.py": "one frozen Settings (pydantic-settings reads for it)",
    "trainer/worker.py": "a worker on another machine has no Settings",
    "trainer/__main__.py": "sets the framework's own variables before it is imported; reads none",
}

# Who may write rows. Reading is further below.
WRITERS = {
    "app/runs.py": "what people do",
    "app/run_queue.py": "what workers do",
    "app/board.py": "ranking",
}

# Who may read rows besides the writers, and why there.
READERS = {
    "app/database.py": "the door itself",
    "app/health.py": "SELECT 1",
    "app/listing.py": "many runs at once: filter, sort, page",
    "app/live.py": "replays stored events to a stream",
    "app/models.py": "the tables",
    "app/pages.py": "the home page's two lists",
    "app/quickstart.py": "whether there ever was a run",
    "app/shown.py": "rows in the shapes that pages and JSON share",
}

# One interpreter loads the libraries and forks once per module (or per list of them): ours are imported afresh.
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


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(found) > 10
    return found


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return named(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path, *, at_import_only: bool = False) -> Iterator[str]:
    """Every module that a file names in an import, with the names that it takes from it."""
    for node in tree_of(path).body if at_import_only else ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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
    for module, names in loaded(LIBRARIES, *sorted(LIGHT)).items():
        assert not [name for name in names if name.startswith("!")], (module, names)
        assert not names & (FRAMEWORKS | WEB), module


def test_the_trainer_never_names_the_app_or_its_libraries():
    for path in sources("trainer"):
        assert not {name.partition(".")[0] for name in imports(path)} & WEB, named(path)


def test_the_trainer_s_modules_load_nothing_of_the_app():
    """The heavy ones are read, not run: a framework at import time takes seconds. See the test before."""
    heavy = {"trainer.engine", "trainer.models", "trainer.train"}
    modules = [
        module_of(path)
        for path in sources("trainer")
        if not module_of(path).startswith(tuple(heavy)) and module_of(path) != "trainer.__main__"
    ]
    for module, names in loaded(LIBRARIES, *modules).items():
        assert not names & WEB, module
    assert len(modules) > 15


def test_the_app_names_only_light_modules_of_the_trainer():
    allowed = {*LIGHT, "trainer.augment.host", "trainer"}
    named_modules = set()
    for path in sources("app"):
        for name in imports(path):
            if name.partition(".")[0] == "trainer":
                named_modules.add(name)
                assert name in allowed or name.rpartition(".")[0] in allowed, (named(path), name)
    assert "trainer.recipe" in named_modules


# no module knows one that is above it
FORBIDDEN = {
    "app/models.py": {"app"},
    "app/leases.py": {"app", "sqlalchemy", "fastapi"},
    "app/problems.py": {"app", "fastapi", "starlette"},
    "app/schemas.py": {"app", "sqlalchemy", "fastapi"},
    "app/database.py": {"app.models", "app.runs", "fastapi"},
    "app/runs.py": {"fastapi", "starlette", "app.run_queue", "app.api", "app.pages", "app.live", "app.state"},
    "app/run_queue.py": {"fastapi", "starlette", "app.api", "app.pages", "app.live", "app.state"},
    "app/recipes.py": {"sqlalchemy", "fastapi", "app.models", "app.database"},
    "app/forms.py": {"sqlalchemy", "fastapi", "jinja2", "app"},
    "app/charts.py": {"sqlalchemy", "fastapi", "app.models", "app.database"},
    "app/rendering.py": {"sqlalchemy", "app.models", "app.database"},
    "app/security.py": {"app.api", "app.pages", "app.database", "sqlalchemy"},
    "app/up.py": {"app.models", "app.database", "sqlalchemy"},
    "trainer/recipe.py": {"numpy", "trainer.presets", "trainer.schedules"},
    "trainer/spool.py": {"httpx2", "subprocess", "trainer.child", "trainer.client"},
    "trainer/client.py": {"subprocess", "trainer.child", "trainer.worker"},
    "trainer/child.py": {"httpx2", "trainer.client"},
}


@pytest.mark.parametrize("path", FORBIDDEN)
def test_a_module_does_not_know_what_is_above_it(path: str):
    for name in imports(ROOT / path):
        for forbidden in FORBIDDEN[path]:
            assert name != forbidden, (path, name)
            assert not name.startswith(forbidden + "."), (path, name)


def test_only_the_routes_know_http():
    knowing = {
        named(path)
        for path in sources("app")
        if any(name.partition(".")[0] in {"fastapi", "starlette"} for name in imports(path))
    }
    allowed = {"answers", "api", "health", "launch_pages", "live", "pages", "plotly_js", "previews", "rendering"}
    allowed |= {"security", "state", "streams", "web", "worker_api", "board_pages", "compare_pages", "artifacts"}
    assert knowing <= {f"app/{name}.py" for name in allowed}


def reads_environment(path: Path) -> list[int]:
    """Lines that touch os.environ or os.getenv, other than setting a variable."""
    sets = {
        id(target.value)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript)
    }
    return [
        node.lineno
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"} and id(node) not in sets)
        or (isinstance(node, ast.ImportFrom) and {a.name for a in node.names} & {"environ", "getenv", "BaseSettings"})
    ]


def test_only_settings_and_the_worker_read_the_environment():
    readers = {named(path) for path in sources("app", "trainer") if reads_environment(path)}

    assert readers == {"app/settings.py", "trainer/worker.py"}
    assert readers < set(ENVIRONMENT)


def test_only_the_verbs_write_rows():
    writing = {"insert", "update", "delete"}
    methods = {"add", "add_all", "merge", "bulk_save_objects", "bulk_insert_mappings", "bulk_update_mappings"}
    found = set()
    for path in sources("app"):
        names = {name for name in imports(path) if name.startswith("sqlalchemy.")}
        is_writing = any(name.rpartition(".")[2] in writing for name in names)
        for node in ast.walk(tree_of(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
            ):
                is_writing |= node.func.value.id == "session" and node.func.attr in methods | {"delete"}
        texts = [node.value for node in ast.walk(tree_of(path)) if isinstance(node, ast.Constant)]
        is_writing |= any(
            isinstance(text, str) and re.match(r"\s*(INSERT INTO|UPDATE \w+ SET|DELETE FROM|REPLACE INTO)\b", text)
            for text in texts
        )
        if is_writing:
            found.add(named(path))

    assert {"app/runs.py", "app/run_queue.py"} <= found <= set(WRITERS)


def test_only_the_listed_modules_read_rows():
    found = set()
    for path in sources("app"):
        names = {name.rpartition(".")[2] for name in imports(path) if name.startswith("sqlalchemy")}
        if names & {"select", "text", "func", "create_engine"}:
            found.add(named(path))

    assert found <= set(READERS) | set(WRITERS)
    assert {"app/listing.py", "app/runs.py"} <= found


def test_the_engine_is_made_by_nobody_but_its_door_and_never_at_import():
    for path in sources("app"):
        if named(path) != "app/database.py":
            assert "create_engine" not in path.read_text(), named(path)
            called = {
                node.func.id
                for node in ast.walk(tree_of(path))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert named(path) == "app/__main__.py" or not called & {"Records", "create_app", "Tokens"}, named(path)
    calls_at_import = [
        node
        for path in sources("app")
        for statement in tree_of(path).body
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.If)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"create_engine", "Records", "Settings", "Session"}
    ]
    assert calls_at_import == []


def test_no_module_has_a_name_that_says_nothing():
    forbidden = {"utils", "util", "helpers", "helper", "common", "manager", "service", "services", "core", "misc"}
    found = sources("app", "trainer", "tests", "migrations")
    for path in [*found, *(ROOT / "static").rglob("*"), *(ROOT / "templates").rglob("*")]:
        assert path.stem.lstrip("_") not in forbidden, path


def test_modules_stay_small_and_say_what_they_are():
    lengths = {}
    for path in sources("app", "trainer"):
        text = path.read_text()
        assert ast.get_docstring(tree_of(path)), named(path)
        if path.name == "__init__.py":
            assert len(text.splitlines()) == 1, named(path)
        else:
            lengths[named(path)] = len(text.splitlines())

    assert {name: length for name, length in lengths.items() if length > 300} == {}
    assert statistics.median(lengths.values()) <= 110


@pytest.mark.parametrize(
    ("folder", "pattern", "most", "at_least"),
    [("templates", "*.html", 120, 10), ("static/js", "*.js", 130, 5), ("static/css", "*.css", 200, 4)],
)
def test_front_end_files_stay_small(folder: str, pattern: str, most: int, at_least: int):
    files = list((ROOT / folder).rglob(pattern))

    assert len(files) >= at_least
    assert {named(path): n for path in files if (n := len(path.read_text().splitlines())) > most} == {}


def front_end() -> list[Path]:
    files = [path for folder in ("templates", "static") for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert len(files) > 20
    return [path for path in files if path.suffix in {".html", ".js", ".css", ".svg"}]


def test_nothing_is_fetched_from_elsewhere():
    for path in front_end():
        text = re.sub(r'xmlns(:\w+)?="[^"]*"', "", path.read_text())
        assert not re.search(r"(https?:)?//[\w-]+\.[\w.-]+/|https?://", text), named(path)


def test_no_template_holds_a_script_or_a_handler():
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text()
        for script in re.findall(r"<script\b[^>]*>", text):
            assert "src=" in script or 'type="application/json"' in script, (named(path), script)
        assert not re.search(r"<[^>]*\son\w+\s*=", text), named(path)
        assert "javascript:" not in text, named(path)
        assert "| safe" not in text, named(path)
        assert "autoescape false" not in text, named(path)


def test_no_script_builds_code_from_text():
    for path in (ROOT / "static").rglob("*.js"):
        assert not re.search(r"\beval\(|new Function\(|document\.write\(|insertAdjacentHTML", path.read_text()), path


@pytest.mark.parametrize("name", ["web", "worker-cpu", "worker-gpu", "dev"])
def test_locked_requirements_have_hashes_and_no_addresses(name: str):
    text = (ROOT / f"requirements-{name}.txt").read_text()
    requirements = [one for one in re.split(r"\n(?=\S)", text.replace("\\\n", " ")) if not one.startswith("#")]

    assert len(requirements) > 10
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)", text, re.MULTILINE)
    for requirement in requirements:
        assert re.match(r"[\w.-]+==\S+", requirement), requirement[:80]
        assert "--hash=sha256:" in requirement, requirement[:80]


def test_the_web_process_needs_nothing_but_its_own_requirements():
    program = (
        "import json, sys, app.__main__; from importlib.metadata import packages_distributions as named;"
        "tops = {name.partition('.')[0] for name in sys.modules};"
        "print(json.dumps(sorted({d.lower() for t in tops for d in named().get(t, [])})))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    required = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements-web.txt").read_text(), re.MULTILINE))

    assert {"fastapi", "sqlalchemy", "pysqlite3"} <= loaded
    taken_where_there = {"pygments", "setuptools"}  # libraries look for them and do without
    assert not {name.replace("_", "-") for name in loaded} - required - taken_where_there


def test_every_setting_is_described():
    page = (ROOT / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"`{field.validation_alias or f'PITWALL_{name.upper()}'}`" in page, name
        assert field.description


def test_nothing_is_described_that_is_no_setting():
    page = (ROOT / "docs" / "settings.md").read_text()
    known = {f"PITWALL_{name.upper()}" for name in Settings.model_fields} | {"PITWALL_SERVER"}  # the worker's own

    assert set(re.findall(r"PITWALL_[A-Z_]+[A-Z]", page)) <= known


def test_every_make_target_says_what_it_does():
    text = (ROOT / "Makefile").read_text()
    phony = set(" ".join(re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE)).split())
    targets = re.findall(r"^([a-z][\w-]*):(.*)$", text, re.MULTILINE)

    assert {"run", "test", "lint"} <= phony
    assert {name for name, _ in targets} == phony
    for name, rest in targets:
        assert re.search(r"## \S.{9,}", rest), name
