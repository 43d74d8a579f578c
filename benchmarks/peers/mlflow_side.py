"""MLflow with the runs of a Pitwall database: installed in a folder of its own, filled, and served beside ours."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pysqlite3

from app.runs.recipes import flatten
from tests.e2e.support.processes import free_port, until

INSTALLED = "PITWALL_BENCH_MLFLOW"  # a virtual environment that has MLflow already
EXPERIMENT = 1
STARTS_S = 180.0
TOGETHER = 500  # runs of one transaction
FINAL = {  # its metric -> our column
    "best_val_accuracy": "best_val_accuracy",
    "time_to_target": "time_to_target",
    "elapsed_seconds": "elapsed_seconds",
}
TABLES = {
    "runs": "run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, "
    "source_version, lifecycle_stage, artifact_uri, experiment_id",
    "params": "run_uuid, key, value",
    "tags": "run_uuid, key, value",
    "metrics": "run_uuid, key, value, timestamp, step, is_nan",
    "latest_metrics": "run_uuid, key, value, timestamp, step, is_nan",
}


class Mlflow:
    """`close` leaves nothing running."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError or subprocess.CalledProcessError where it cannot be installed."""
        self._folder = folder
        folder.mkdir()
        venv = Path(os.environ.get(INSTALLED) or folder / "venv")
        if not venv.exists():
            uv = [sys.executable, "-m", "uv"]
            subprocess.run([*uv, "venv", "-q", "--python", sys.executable, venv], check=True)
            subprocess.run([*uv, "pip", "install", "-q", "--python", venv / "bin/python", "mlflow"], check=True)
        self._command = venv / "bin" / "mlflow"
        self._store = folder / "mlflow.db"
        self._environment = os.environ | {
            "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",  # it starts its server by name
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "HOME": str(folder),
        }
        said = subprocess.run([self._command, "--version"], check=True, capture_output=True, text=True)
        self.version = said.stdout.split()[-1]
        self.names: dict[int, str] = {}  # our run -> its run
        self._server: subprocess.Popen[bytes] | None = None

    def fill(self, database: Path) -> str:
        """Its own tables, made by itself, and in them the runs of ours. Answers what was put in."""
        self._run("db", "upgrade", f"sqlite:///{self._store}")
        ours = pysqlite3.connect(f"file:{database}?mode=ro", uri=True)
        ours.row_factory = pysqlite3.Row
        theirs = pysqlite3.connect(self._store)
        theirs.execute("PRAGMA synchronous=OFF")
        theirs.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, "
            "last_update_time) VALUES (?, 'pitwall', 'mlflow-artifacts:/1', 'active', 0, 0)",
            (EXPERIMENT,),
        )
        draw = random.Random(0)  # its names are random numbers, as those that it makes itself
        put = dict.fromkeys(TABLES, 0)
        runs = ours.execute("SELECT *, json(recipe) AS written FROM runs ORDER BY id")
        while some := runs.fetchmany(TOGETHER):
            curves = _curves(ours, [run["id"] for run in some])
            with theirs:
                for run in some:
                    name = self.names[run["id"]] = f"{draw.getrandbits(128):032x}"
                    for table, rows in _rows(name, run, curves[run["id"]]).items():
                        put[table] += len(rows)
                        marks = ", ".join("?" * len(rows[0]))
                        theirs.executemany(f"INSERT INTO {table} ({TABLES[table]}) VALUES ({marks})", rows)
        theirs.close()
        ours.close()
        said = ", ".join(f"{number:,} {table}" for table, number in put.items())
        return f"rows: {said}; of curves only val_accuracy; {self._store.stat().st_size / 2**20:.0f} MiB"

    def analyze(self) -> None:
        """Run ANALYZE on the tables, which MLflow itself never does, and restart the server."""
        self.close()
        with contextlib.closing(pysqlite3.connect(self._store)) as theirs:
            theirs.execute("ANALYZE")
            theirs.commit()
        self.serve()

    def serve(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        with (self._folder / "server.log").open("wb") as log:
            self._server = subprocess.Popen(
                [self._command, "server", "--backend-store-uri", f"sqlite:///{self._store}", "--workers", "1",
                 "--artifacts-destination", self._folder / "artifacts", "--port", str(self.port)],
                cwd=self._folder, env=self._environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until(self._answers, STARTS_S, "MLflow answers", every=0.5)

    def close(self) -> None:
        if self._server is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()

    def _answers(self) -> bool:
        assert self._server and self._server.poll() is None, (self._folder / "server.log").read_text()[-4000:]
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [self._command, *arguments], check=True, cwd=self._folder, env=self._environment, capture_output=True
        )


def search(order_by: Sequence[str] = (), where: str = "") -> bytes:
    """The body of a question for 50 runs."""
    asked = {"experiment_ids": [str(EXPERIMENT)], "max_results": 50, "order_by": list(order_by), "filter": where}
    return json.dumps(asked).encode()


def curves(runs: Sequence[str]) -> str:
    """The address at which its own page asks for a curve of several runs."""
    asked = [("run_ids", run) for run in runs] + [("metric_key", "val_accuracy"), ("max_results", "320")]
    return f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{urlencode(asked)}"


def _curves(ours: Any, runs: list[int]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {run: [] for run in runs}
    between = (runs[0], runs[-1])
    columns = "run_id, epoch, val_accuracy, val_loss, train_accuracy, train_loss, seconds"
    for row in ours.execute(f"SELECT {columns} FROM epochs WHERE run_id BETWEEN ? AND ? ORDER BY 1, 2", between):
        found[row["run_id"]].append(row)
    return found


def _rows(name: str, run: Any, curve: list[Any]) -> dict[str, list[tuple[Any, ...]]]:
    """What MLflow would have written of the run, by table."""
    began, ended = _ms(run["started_at"]), _ms(run["ended_at"])
    artifacts = f"mlflow-artifacts:/{EXPERIMENT}/{name}/artifacts"
    tags = {"mlflow.runName": run["name"], "mlflow.user": "lab", "mlflow.source.type": "LOCAL",
            "mlflow.source.name": "train.py", "week": json.loads(run["tags"])[0]}  # fmt: skip
    final = {key: run[column] for key, column in FINAL.items() if run[column] is not None}
    final |= {key: curve[-1][key] for key in ("val_accuracy", "val_loss", "train_accuracy", "train_loss")}
    last = [(name, key, value, ended, run["last_epoch"], 0) for key, value in final.items()]
    return {
        "runs": [(name, run["name"], "LOCAL", "train.py", "", "lab", "FINISHED", began, ended, "", "active",
                  artifacts, EXPERIMENT)],
        "params": [(name, path, str(value)) for path, value in flatten(json.loads(run["written"]))],
        "tags": [(name, key, value) for key, value in tags.items()],
        "metrics": [*_history(name, began, curve), *(row for row in last if row[1] != "val_accuracy")],
        "latest_metrics": last,
    }  # fmt: skip


def _history(name: str, began: int, curve: list[Any]) -> Iterator[tuple[Any, ...]]:
    at = float(began)
    for row in curve:
        at += row["seconds"] * 1000
        yield name, "val_accuracy", row["val_accuracy"], int(at), row["epoch"], 0


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
