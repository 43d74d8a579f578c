"""The house as drawn: who may know whom, who reads the environment, who reads and writes rows."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.app.arrows import FORBIDDEN
from tests.app.support.source_tree import ROOT, imports, module_of, named, sources, tree_of

FRAMEWORKS = {"tensorflow", "keras", "jax", "torch", "sklearn"}
WEB = {"app", "sqlalchemy", "fastapi", "starlette", "uvicorn", "alembic", "jinja2"}

# What the web process and the worker may import: no ML framework behind any of them.
LIGHT = {
    "trainer.recipe.recipe", "trainer.recipe.knobs", "trainer.presets.presets", "trainer.recipe.learning_rates", "trainer.data.datasets", "trainer.events",
    "trainer.augment.draws", "trainer.recipe.augmentation", "trainer.worker", "trainer.worker.client", "trainer.worker.spool",
    "trainer.worker.child", "trainer.worker.attempt", "trainer.worker.uploads", "trainer.worker.workspace", "trainer.worker.watchdog", "trainer.machine.memory",
    "trainer.loop.checkpoint_file", "trainer.machine.devices", "trainer.worker.exit_codes", "trainer.machine.parent", "trainer.failures",
    "trainer.models.layers", "trainer.models.resnet9", "trainer.data.gallery", "trainer.recipe.check", "trainer.recipe.check_rates",
    "trainer.recipe.check_knobs", "trainer.recipe.evidence", "trainer.presets.preset", "trainer.presets.original", "trainer.presets.trials",
    "trainer.presets.page", "trainer.recipe.warning", "trainer.recipe.network", "trainer.recipe.optimizer",
    "trainer.recipe.schedule", "trainer.protocol", "trainer.augment.selections", "trainer.augment.normalisation",
    "trainer.recipe.knob_paths", "trainer.data.predictions", "trainer.machine.power", "trainer.worker.children",
    "trainer.engine.backends", "trainer.models.architectures", "trainer.loop.device_fit", "trainer.machine.peak_flops", "trainer.machine.compile_cache",
    "trainer.augment.tables", "trainer.augment.flow", "trainer.worker.tasks",
}  # fmt: skip

# Who may read the environment, and why.
ENVIRONMENT = {
    "app/settings.py": "one frozen Settings (pydantic-settings reads for it)",
    "trainer/worker/worker.py": "a worker on another machine has no Settings",
    "trainer/__main__.py": "sets the framework's own variables before it is imported; reads none",
    "trainer/engine/backends.py": "sets what the frameworks read at their import; reads none",
}

# Who may write rows. Reading is further below.
WRITERS = {
    "app/runs/runs.py": "what people do",
    "app/runs/lifecycle.py": "how people stop a run and let it go on",
    "app/workers/queue.py": "who works on a run",
    "app/workers/reports.py": "what they hand in",
    "app/workers/fast_reports.py": "what they hand in most",
    "app/board/ranking.py": "ranking",
    "app/webhooks/deliveries.py": "what webhooks are told",
    "app/cli/restore.py": "fences off those who lived after the backup",
}

# Who may read rows besides the writers, and why there.
READERS = {
    "app/cli/backup.py": "what is in a copy, by the driver itself: other versions' tables, too",
    "app/run_list/cells.py": "accuracies at an epoch, for a table's rows",
    "app/run_list/columns.py": "what a list can be sorted and filtered by",
    "app/records/column_types.py": "how SQLite keeps times and JSON",
    "app/metrics/accuracy.py": "the accuracy that counts, as an expression over an epoch's columns",
    "app/metrics/curves.py": "the epochs of many runs",
    "app/records/database.py": "the door itself",
    "app/launch/estimates.py": "what runs like a recipe took",
    "app/board/groups.py": "repeats of a recipe",
    "app/health.py": "SELECT 1",
    "app/run_list/listing.py": "many runs at once: filter, sort, page",
    "app/live/events.py": "replays stored events to a stream",
    "app/records/models.py": "the tables",
    "app/images/predictions.py": "what nets took pictures for",
    "app/board/samples.py": "which runs count",
    "app/board/kept_samples.py": "whether that has changed",
    "app/runs/responses.py": "rows in the shapes that pages and JSON share",
    "app/runs/timeline.py": "what happened to a run",
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
    heavy = {"trainer.engine", "trainer.engine.net", "trainer.inference.keras_model", "trainer.loop.train"}
    modules = [
        module_of(path)
        for path in sources("trainer")
        if not module_of(path).startswith(tuple(heavy)) and module_of(path) != "trainer.__main__"
    ]
    for module, names in loaded(LIBRARIES, *modules).items():
        assert not names & WEB, module
    assert len(modules) > 15


def test_the_app_names_only_light_modules_of_the_trainer():
    allowed = {*LIGHT, "trainer.augment.pipeline", "trainer"}
    named_modules = set()
    for path in sources("app"):
        for name in imports(path):
            if name.partition(".")[0] == "trainer":
                named_modules.add(name)
                assert name in allowed or name.rpartition(".")[0] in allowed, (named(path), name)
    assert "trainer.recipe.recipe" in named_modules


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
    allowed = {"answers", "api", "health", "launch_pages", "live", "home_pages", "plotly_js", "rendering"}
    allowed |= {
        "security",
        "state",
        "streams",
        "web",
        "worker_api",
        "board_pages",
        "compare_pages",
        "artifacts",
        "run_pages",
        "notice_pages",
        "style_pages",
    }
    allowed |= {"architecture_pages", "button_pages", "form_posts", "login_pages", "preview_pages", "asked"}
    allowed |= {
        "board_api",
        "compare_api",
        "dawnbench_api",
        "group_pages",
        "many_api",
        "report_pages",
        "run_list_pages",
        "stylesheet",
        "task_api",
        "try_pages",
    }
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

    assert readers == {"app/settings.py", "trainer/worker/worker.py"}
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

    assert {"app/runs/runs.py", "app/workers/queue.py"} <= found <= set(WRITERS)


def test_only_the_listed_modules_read_rows():
    found = set()
    for path in sources("app"):
        names = {name.rpartition(".")[2] for name in imports(path) if name.startswith("sqlalchemy")}
        if names & {"select", "text", "func", "create_engine"}:
            found.add(named(path))

    assert found <= set(READERS) | set(WRITERS)
    assert {"app/run_list/listing.py", "app/runs/runs.py"} <= found


def test_the_engine_is_made_by_nobody_but_its_door_and_never_at_import():
    for path in sources("app"):
        if named(path) != "app/records/database.py":
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
