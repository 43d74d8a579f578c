"""The composed system as somebody runs it with Docker: a project of its own, by the command line and over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

from tests.e2e.support.processes import ROOT, free_port

BUILD_S = 1500.0  # the framework is large
PULL_S = 120.0
# A build sees the network as its host does; a bridge may lack the way to the package index.
BUILT_ON_HOST_NETWORK = json.dumps({"services": {name: {"build": {"network": "host"}} for name in ("web", "worker")}})


def unavailable() -> str:
    """Why nothing can be composed here; empty where it can."""
    if not shutil.which("docker"):
        return "docker is not installed"
    if _said("docker", "info") is None:
        return "no Docker engine answers"
    if not command():
        return "neither `docker compose` nor docker-compose is installed"
    base = _base()
    if _said("docker", "image", "inspect", base) is None and _said("docker", "pull", base) is None:
        return f"the base image {base} is neither here nor can it be pulled"
    return ""


class Composed:
    """One project: its images, containers and volume have its name. `close` leaves nothing of it."""

    def __init__(self, folder: Path) -> None:
        self.project = f"pitwall-test-{uuid.uuid4().hex[:8]}"
        self.port = free_port()
        override = folder / "docker-compose.test.yml"
        override.write_text(BUILT_ON_HOST_NETWORK)  # JSON is YAML
        files = ("-f", str(ROOT / "docker-compose.yml"), "-f", str(override))
        self._compose = (*command(), "-p", self.project, *files)
        self._environment = os.environ | {"PITWALL_PORT": str(self.port), "PITWALL_QUICKSTART": "0"}
        if _said("docker", "buildx", "version") is None:
            self._environment["DOCKER_BUILDKIT"] = "0"  # the classic builder is all there is

    def compose(self, *arguments: str, seconds: float = 120.0) -> str:
        """`docker compose ARGUMENTS`: what it wrote to stdout. Fails with all that it said."""
        done = subprocess.run(
            [*self._compose, *arguments],
            check=False,
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def python(self, service: str, program: str) -> str:
        """What a program says inside the service's container."""
        return self.compose("exec", "-T", service, "python", "-c", program)

    def inspect(self, service: str) -> dict[str, Any]:
        """The container, as the engine sees it."""
        container = self.compose("ps", "-q", "-a", service).strip()
        said = _said("docker", "inspect", container)
        assert said, f"{service} has no container"
        found: dict[str, Any] = json.loads(said)[0]
        return found

    def is_healthy(self, service: str) -> bool:
        return bool(self.inspect(service)["State"]["Health"]["Status"] == "healthy")

    def ask(self, method: str, path: str, token: str = "", body: Any = None) -> tuple[int, str, str]:
        """Status, Location and body of the answer at the published port. Redirects are not followed."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location", ""), answer.read().decode()
        finally:
            connection.close()

    def close(self) -> None:
        self.compose("down", "-v", "--rmi", "local", "--remove-orphans", "-t", "5", seconds=300)


def command() -> tuple[str, ...]:
    """The plugin where it is installed, else the old program."""
    if _said("docker", "compose", "version") is not None:
        return ("docker", "compose")
    return ("docker-compose",) if shutil.which("docker-compose") else ()


def _base() -> str:
    """The image that both are built upon."""
    default = re.search(r"^ARG BASE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert default
    return os.environ.get("PITWALL_BASE") or default[1]


def _said(*command: str) -> str | None:
    """What the command wrote to stdout; None if it failed."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PULL_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
