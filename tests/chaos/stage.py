"""The environment of a scenario, and its result: rows of the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.world import World


@dataclass(frozen=True)
class Row:
    """One line of the table. `must` describes what `holds` checks; None: not possible here, `figure` says why."""

    what: str
    figure: str
    must: str
    holds: bool | None = True
    is_time: bool = False  # a bar of seconds, and nothing else

    def line(self) -> str:
        mark = {True: "", False: "**FAILED:** ", None: "*skipped:* "}[self.holds]
        cells = (self.what, mark + self.figure, self.must)
        return f"| {' | '.join(' '.join(cell.split()).replace('|', '/') for cell in cells)} |"


@dataclass
class Stage:
    """A folder, a random generator, and the available time."""

    name: str
    folder: Path
    seed: int
    is_long: bool
    share: float = 1.0  # of the hour, when long
    worlds: list[World] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed} {self.name}")

    def world(self, name: str = "world", **more: Any) -> World:
        """A data folder with its app and workers; nothing runs yet. Closed with the stage."""
        made = World(self.folder / name, **more)
        self.worlds.append(made)
        return made

    def close(self) -> None:
        for world in self.worlds:
            world.close()

    def tails(self) -> str:
        return "\n".join(world.tails() for world in self.worlds)


def write_row(file: Path, row: Row) -> None:
    with file.open("a") as opened:
        opened.write(json.dumps(asdict(row)) + "\n")


def read_rows(file: Path) -> Iterator[Row]:
    if file.exists():
        for line in file.read_text().splitlines():
            yield Row(**json.loads(line))
