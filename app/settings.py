"""One frozen Settings: the only reader of the environment in app/. Passed on, never a global.

Must not know what the settings are used for.
"""

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

from trainer.machine.devices import named

Kind = Literal["json", "slack", "discord"]


KINDS = get_args(Kind)


@dataclass(frozen=True)
class Hook:
    kind: Kind
    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def key(self) -> str:
        """What the records call it."""
        return hashlib.sha256(f"{self.kind} {self.url}".encode()).hexdigest()[:16]


def parse(text: str) -> list[Hook]:
    """Raises ValueError with a sentence that names the mistake, never the whole URL."""
    found = []
    for number, one in enumerate(text.split(), 1):
        kind, equals, url = one.partition("=")
        if not equals or kind not in KINDS:
            raise ValueError(f"webhook {number} must be KIND=URL, with a kind of {', '.join(KINDS)}")
        try:
            parts = urlsplit(url)
            is_whole = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_whole = False
        if not is_whole or not url.isascii() or not url.isprintable():
            raise ValueError(f"webhook {number} ({kind}) has no address that begins with https:// or http://")
        found.append(Hook(cast(Kind, kind), url))
    return found


class Settings(BaseSettings):
    """Every setting, read from `PITWALL_<NAME>`; docs/settings.md lists them and a test holds the two together."""

    model_config = SettingsConfigDict(env_prefix="PITWALL_", frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs a login token.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on.")
    data_dir: Path = Field(Path("data"), description="Folder of database, tokens, data sets and logs.")
    database_url: str = Field("", description="SQLAlchemy URL of an SQLite file. Empty: pitwall.db in the data folder.")
    allowed_hosts: str = Field(
        "", description="Further host names that may be used in the address bar, separated by commas."
    )
    token: SecretStr = Field(
        SecretStr(""),
        description="Login token. Empty: the one that `python -m app token` made in the data folder.",
    )
    quickstart: bool = Field(True, description="Queue a short run on the embedded digits when the database is empty.")
    workers: str = Field(
        "auto",
        description="Devices that `up` starts a worker for: auto, none, or a list such as gpu:0,gpu:1 or cpu.",
    )

    @field_validator("workers")
    @classmethod
    def _names_devices(cls, text: str) -> str:
        if text in {"auto", "none"}:
            return text
        return ",".join(named(one) for one in text.split(","))

    webhooks: SecretStr = Field(
        SecretStr(""),
        description="Who is told when a run ends: KIND=URL, separated by spaces; kinds are json, slack, discord.",
    )
    webhooks_private: bool = Field(False, description="Whether webhooks may go to private addresses (10.0.0.5).")
    public_url: str = Field("", description="Where people find this app, for links in webhooks: https://pit.example.")

    @field_validator("webhooks")
    @classmethod
    def _names_hooks(cls, text: SecretStr) -> SecretStr:
        parse(text.get_secret_value())
        return text

    @field_validator("public_url")
    @classmethod
    def _is_address(cls, text: str) -> str:
        if text and not text.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return text.rstrip("/")

    visible_gpus: str | None = Field(
        None,
        validation_alias="CUDA_VISIBLE_DEVICES",
        description="NVIDIA's own variable: the GPUs that `up` may start workers for. Empty: none; unset: all.",
    )

    @cached_property
    def hooks(self) -> list[Hook]:
        return parse(self.webhooks.get_secret_value())

    @cached_property
    def url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'pitwall.db'}"

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Host names (without port) that a request may name: loopback's, the bound address, the allowed ones."""
        named = {host.strip().lower() for host in self.allowed_hosts.split(",") if host.strip()}
        bound = f"[{self.host}]" if ":" in self.host else self.host.lower()
        return frozenset({"localhost", "127.0.0.1", "[::1]", bound} - {"0.0.0.0", "[::]"} | named)  # noqa: S104

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect. Then no login is asked for."""
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
