"""The settings, read from the environment here and nowhere else in app/."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from trainer.machine.devices import parse_device

WebhookKind = Literal["json", "slack", "discord"]
WEBHOOK_KINDS = get_args(WebhookKind)


@dataclass(frozen=True)
class Webhook:
    kind: WebhookKind
    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def key(self) -> str:
        """Identifies the webhook in the database, without its secret URL."""
        return hashlib.sha256(f"{self.kind} {self.url}".encode()).hexdigest()[:16]


def parse_webhooks(text: str) -> list[Webhook]:
    """Parse `KIND=URL …`. Raises ValueError with a sentence that never contains the URL, which is a secret."""
    hooks = []
    for number, one in enumerate(text.split(), 1):
        kind, equals, url = one.partition("=")
        if not equals or kind not in WEBHOOK_KINDS:
            raise ValueError(f"webhook {number} must be KIND=URL, with a kind of {', '.join(WEBHOOK_KINDS)}")
        try:
            parts = urlsplit(url)
            is_complete = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_complete = False
        if not is_complete or not url.isascii() or not url.isprintable():
            raise ValueError(f"webhook {number} ({kind}) has no address that begins with https:// or http://")
        hooks.append(Webhook(cast(WebhookKind, kind), url))
    return hooks


class Settings(BaseSettings):
    """Each field is read from `PITWALL_<NAME>`. A test checks that docs/settings.md lists them all."""

    model_config = SettingsConfigDict(env_prefix="PITWALL_", frozen=True, extra="ignore")

    host: str = Field(
        "127.0.0.1", description="Address to listen on. Any address other than loopback needs a login token."
    )
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on.")
    data_dir: Path = Field(Path("data"), description="Folder for the database, tokens, data sets and logs.")
    database_url: str = Field(
        "", description="SQLAlchemy URL of an SQLite file. Default: pitwall.db in the data folder."
    )
    allowed_hosts: str = Field(
        "", description="Further host names under which the app may be opened, separated by commas."
    )
    token: SecretStr = Field(
        SecretStr(""),
        description="Login token. Default: the one that `python -m app token` created in the data folder.",
    )
    quickstart: bool = Field(True, description="Queue a short run on the embedded digits when the database is new.")
    workers: str = Field(
        "auto",
        description="Devices for which `up` starts a worker: auto, none, or a list such as gpu:0,gpu:1 or cpu.",
    )

    @field_validator("workers")
    @classmethod
    def _validate_workers(cls, text: str) -> str:
        if text in {"auto", "none"}:
            return text
        return ",".join(parse_device(one) for one in text.split(","))

    webhooks: SecretStr = Field(
        SecretStr(""),
        description="Webhooks called when a run ends: KIND=URL, separated by spaces; kinds are json, slack, discord.",
    )
    webhooks_private: bool = Field(False, description="Allow webhooks to private addresses (10.0.0.5).")
    public_url: str = Field(
        "", description="Public address of this app, used for links in webhooks: https://pit.example."
    )

    @field_validator("webhooks")
    @classmethod
    def _validate_webhooks(cls, text: SecretStr) -> SecretStr:
        parse_webhooks(text.get_secret_value())
        return text

    @field_validator("public_url")
    @classmethod
    def _validate_public_url(cls, text: str) -> str:
        if text and not text.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return text.rstrip("/")

    visible_gpus: str | None = Field(
        None,
        validation_alias="CUDA_VISIBLE_DEVICES",
        description="NVIDIA's variable: the GPUs for which `up` may start workers. Empty: none; unset: all.",
    )

    @cached_property
    def hooks(self) -> list[Webhook]:
        return parse_webhooks(self.webhooks.get_secret_value())

    @cached_property
    def url(self) -> str:
        """The URL of the database."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'pitwall.db'}"

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Host names (without port) that a request may name: loopback, the bound address, the allowed ones."""
        named = {host.strip().lower() for host in self.allowed_hosts.split(",") if host.strip()}
        bound = f"[{self.host}]" if ":" in self.host else self.host.lower()
        return frozenset({"localhost", "127.0.0.1", "[::1]", bound} - {"0.0.0.0", "[::]"} | named)  # noqa: S104

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect: then no login is needed."""
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def datasets_dir(self) -> Path:
        return self.data_dir / "datasets"

    @property
    def worker_token_file(self) -> Path:
        return self.data_dir / "worker-token"

    @property
    def login_token_file(self) -> Path:
        return self.data_dir / "login-token"
