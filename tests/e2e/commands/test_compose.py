"""Built, started, used, restarted and stopped with Docker Compose. Slow: the images are made anew."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.support import compose
from tests.e2e.support.compose import BUILD_S, Composed
from tests.e2e.support.processes import ROOT, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(BUILD_S + 600)]

EPOCHS = 12  # some seconds each: enough to restart the web process in between
STOPS_S = 35.0  # stop_grace_period: later than this a container is killed
KILLED = 137  # exit code after SIGKILL

# Of every process of the container but the one that asks: user, capabilities, whether it can gain any.
PROCESSES = """
import json, os, pathlib
rows = []
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if int(process.name) != os.getpid():
        row = dict(line.split(":\\t", 1) for line in (process / "status").read_text().splitlines())
        rows.append([row["Name"], row["Uid"].split(), row["Gid"].split(), row["CapEff"], row["NoNewPrivs"]])
print(json.dumps(rows))
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Both services, built, up and healthy. The tests below use it in their order; the last one stops it."""
    if why := compose.unavailable():
        pytest.skip(why)
    made = Composed(tmp_path_factory.mktemp("compose"))
    try:
        made.compose("build", seconds=BUILD_S)
        _start(made)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def token(system: Composed) -> str:
    return system.compose("exec", "-T", "web", "python", "-m", "app", "token").strip()


def test_the_web_image_holds_no_ml_framework(system: Composed) -> None:
    listed = "import importlib.metadata as m, json; print(json.dumps([d.name.lower() for d in m.distributions()]))"
    web = set(json.loads(system.python("web", listed)))
    worker = set(json.loads(system.python("worker", listed)))

    assert "fastapi" in web
    assert not web & {"tensorflow", "keras", "jax", "torch"}
    assert {"tensorflow", "keras", "imgaug"} <= worker
    assert not worker & {"fastapi", "sqlalchemy", "uvicorn"}


@pytest.mark.parametrize("service", ["web", "worker"])
def test_every_process_is_a_plain_user_without_any_power(system: Composed, service: str) -> None:
    processes = json.loads(system.python(service, PROCESSES))

    assert "python" in {row[0] for row in processes}
    for name, users, groups, capabilities, no_new_privileges in processes:
        assert (set(users), set(groups)) == ({"10001"}, {"10001"}), name
        assert int(capabilities, 16) == 0, name
        assert no_new_privileges == "1", name


@pytest.mark.parametrize("service", ["web", "worker"])
def test_the_root_file_system_is_read_only(system: Composed, service: str) -> None:
    program = "import os; print([bool(os.statvfs(p).f_flag & os.ST_RDONLY) for p in ('/', '/srv', '/tmp', '/data')])"

    assert json.loads(system.python(service, program).lower()) == [True, True, False, False]


def test_only_this_machine_can_connect(system: Composed) -> None:
    published = system.inspect("web")["NetworkSettings"]["Ports"]

    assert published == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(system.port)}]}
    assert not any(system.inspect("worker")["NetworkSettings"]["Ports"].values())


def test_without_the_token_only_the_login_answers(system: Composed, token: str) -> None:
    for path in ("/login", "/healthz", "/readyz", "/static/css/app.css"):
        assert system.ask("GET", path)[0] == 200, path
    for path in ("/", "/runs", "/runs/new", "/board", "/metrics", "/api/v1/runs", "/api/v1/workers", "/api/v1/events"):
        status, location, _ = system.ask("GET", path)
        assert status == 401 or (status == 303 and location.startswith("/login")), f"{path}: {status} {location}"
    assert system.ask("POST", "/api/v1/runs", body={"preset": "quickstart"})[0] == 401
    assert system.ask("POST", "/api/v1/worker/claim", token=token, body={})[0] == 401  # the login token is no worker's
    assert system.ask("GET", "/api/v1/runs", token=token)[0] == 200


def test_both_tokens_are_their_owners_alone_and_not_in_the_logs(system: Composed, token: str) -> None:
    program = """
import os, json, pathlib
files = [pathlib.Path("/data", name) for name in ("worker-token", "login-token")]
print(json.dumps([[oct(f.stat().st_mode & 0o777), f.stat().st_uid, f.read_text().strip()] for f in files]))
"""
    worker_file, login_file = json.loads(system.python("web", program))

    assert worker_file[:2] == login_file[:2] == ["0o600", 10001]
    assert login_file[2] == token
    logs = system.compose("logs", "--no-color")
    assert "worker" in logs
    assert worker_file[2] not in logs
    assert token not in logs


def test_the_web_image_draws_previews_of_pictures(system: Composed, token: str) -> None:
    """imgaug and OpenCV work without a screen, a home or a root file system that can be written."""
    augment = [{"op": "rotate"}, {"op": "flip"}, {"op": "blur"}, {"op": "pad_crop"}, {"op": "cutout"}]
    status, _, body = system.ask("POST", "/api/v1/previews/augmentation", token, {"augment": augment, "count": 3})

    assert status == 200, body
    assert [len(one["stages"]) for one in json.loads(body)["pictures"]] == [7, 7, 7]


def test_a_run_goes_on_while_the_web_container_restarts(system: Composed, token: str) -> None:
    run_id = _launch(system, token)
    before = until(lambda: _running(system, token, run_id), 180, "the first epoch is stored", every=0.5)
    system.compose("restart", "web")
    run = until(lambda: _over(system, token, run_id), 300, "the run ends", every=0.5)

    assert before["last_epoch"] < EPOCHS
    assert run["status"] == "succeeded", run["reason"]
    assert (run["attempt"], len(run["attempts"])) == (1, 1)
    assert run["attempts"][0]["worker"] == "worker/cpu"
    epochs = json.loads(system.ask("GET", f"/api/v1/runs/{run_id}/epochs", token)[2])
    assert [row["epoch"] for row in epochs] == list(range(1, EPOCHS + 1))


def test_stop_is_quick_and_a_start_goes_on(system: Composed, token: str) -> None:
    run_id = _launch(system, token)
    until(lambda: _running(system, token, run_id), 180, "the first epoch is stored", every=0.5)
    started = time.monotonic()
    system.compose("stop")
    took = time.monotonic() - started
    codes = {service: system.inspect(service)["State"]["ExitCode"] for service in ("web", "worker")}
    _start(system)
    again = until(lambda: _running(system, token, run_id, attempt=2), 180, "the run is taken up again", every=0.5)

    assert took < STOPS_S
    assert KILLED not in codes.values(), codes
    assert codes["worker"] == 0
    assert [attempt["outcome"] for attempt in again["attempts"]] == ["released", None]


@pytest.mark.parametrize("files", [("docker-compose.yml",), ("docker-compose.yml", "docker-compose.gpu.yml")])
def test_the_files_are_valid_with_and_without_a_gpu(files: tuple[str, ...]) -> None:
    if not (command := compose.command()):
        pytest.skip("neither `docker compose` nor docker-compose is installed")
    named = [part for file in files for part in ("-f", file)]
    done = subprocess.run([*command, *named, "config"], cwd=ROOT, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert ("nvidia" in done.stdout) == ("docker-compose.gpu.yml" in files)
    assert ("requirements-worker-gpu.txt" in done.stdout) == ("docker-compose.gpu.yml" in files)


def _start(system: Composed) -> None:
    try:
        system.compose("up", "-d", seconds=300)
        until(lambda: system.is_healthy("web") and system.is_healthy("worker"), 120, "both are healthy", every=0.5)
    except AssertionError as problem:
        raise AssertionError(f"{problem}\n{system.compose('logs', '--no-color')[-8000:]}") from None


def _launch(system: Composed, token: str) -> int:
    body = {"preset": "quickstart", "recipe": {"epochs": EPOCHS}}
    status, _, answer = system.ask("POST", "/api/v1/runs", token, body)
    assert status == 201, answer
    return int(json.loads(answer)["runs"][0]["id"])


def _run(system: Composed, token: str, run_id: int) -> dict[str, Any] | None:
    """The run; None while the web process is away."""
    try:
        status, _, answer = system.ask("GET", f"/api/v1/runs/{run_id}", token)
    except (OSError, http.client.HTTPException):
        return None
    return json.loads(answer) if status == 200 else None


def _running(system: Composed, token: str, run_id: int, attempt: int = 1) -> dict[str, Any] | None:
    """The run once this attempt trains and an epoch is stored."""
    run = _run(system, token, run_id)
    if run and run["status"] in {"failed", "cancelled"}:
        raise AssertionError(run["reason"])
    trains = run and run["status"] == "running" and run["attempt"] == attempt and run["last_epoch"] > 0
    return run if trains else None


def _over(system: Composed, token: str, run_id: int) -> dict[str, Any] | None:
    run = _run(system, token, run_id)
    return run if run and run["status"] in {"succeeded", "failed", "cancelled"} else None
