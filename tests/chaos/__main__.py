"""`python -m tests.chaos [--long]`: everything that can go wrong, done on purpose, and a table of what held.

Each scenario is a process of its own, several at once; they mostly wait. One that held but for its seconds, which the
others may have cost it, is played once more alone. Exit code 1 where anything did not hold.
`--seed` repeats the randomness (not the timing); `--only storm,verbs` plays some; `--keep` leaves the folders.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from secrets import randbelow
from types import FrameType
from typing import NoReturn

from tests.chaos import clearing
from tests.chaos.playing import SCENARIOS, Scenario, play
from tests.chaos.stage import Row, read_rows
from tests.chaos.world import MARK
from tests.e2e.support.processes import ROOT

ENDS_S = 20.0  # for a cancelled scenario to clean up
LIMIT_S = 600.0  # for a scenario beside seven others: four starts of a framework take minutes on a slow machine
LEFTOVERS = "Left behind: processes, mounts, network namespaces, control groups"


@dataclass
class Playing:
    """A running scenario."""

    scenario: Scenario
    folder: Path
    process: subprocess.Popen[bytes]
    started_at: float
    is_alone: bool  # nothing else beside it

    @property
    def rows(self) -> Path:
        return self.folder / "rows.jsonl"

    def end(self) -> None:
        """Cancel it; kill it if it does not clean up by itself."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Show:
    """All scenarios, so many at once, in their order."""

    def __init__(self, arguments: argparse.Namespace, root: Path) -> None:
        self._arguments, self._root = arguments, root
        self._under_way: list[Playing] = []
        self._slow: list[Scenario] = []  # to be repeated
        self._done: dict[str, list[Row]] = {}
        self.failed: list[Path] = []  # the stories of what did not hold

    def run(self, scenarios: list[Scenario]) -> list[Row]:
        waiting = list(scenarios)
        try:
            while waiting or self._slow or self._under_way:
                if waiting and len(self._under_way) < self._arguments.at_once:
                    self._under_way.append(self._begin(waiting.pop(0)))
                elif self._slow and not self._under_way:
                    self._under_way.append(self._begin(self._slow.pop(0), is_alone=True))
                for one in list(self._under_way):
                    self._look(one)
                time.sleep(0.1)
        finally:
            for one in self._under_way:
                one.end()
        return [row for scenario in scenarios for row in self._done[scenario.name]]

    def _begin(self, scenario: Scenario, *, is_alone: bool = False) -> Playing:
        folder = self._root / (f"{scenario.name}-alone" if is_alone else scenario.name)
        folder.mkdir()
        asked = self._arguments
        more = ["--long", "--minutes", str(asked.minutes)] if asked.long else []
        command = [sys.executable, "-m", "tests.chaos", "--play", scenario.name, "--folder", str(folder)]
        with (folder / "story.txt").open("wb") as story:
            process = subprocess.Popen(
                [*command, "--seed", str(asked.seed), *more],
                cwd=ROOT,
                env=_environment() | {MARK: str(folder)},
                stdout=story,
                stderr=story,
                start_new_session=True,  # Ctrl-C reaches us alone
            )
        return Playing(scenario, folder, process, time.monotonic(), is_alone)

    def _look(self, one: Playing) -> None:
        passed = time.monotonic() - one.started_at
        limit = LIMIT_S + (1.5 * 60 * self._arguments.minutes if self._arguments.long else 0)
        code = one.process.poll()
        if code is None and passed < limit:
            return
        if code is None:
            one.end()
        self._under_way.remove(one)
        rows = list(read_rows(one.rows))
        if code is None:
            rows.append(Row(one.scenario.name, f"not done after {limit:.0f} s", "an end", holds=False))
        elif code:
            rows.append(Row(one.scenario.name, f"ended with exit code {code}", "played to its end", holds=False))
        self._done[one.scenario.name] = rows
        failed = [row for row in rows if row.holds is False]
        told = "FAILED" if failed else "held"
        if failed and all(row.is_time for row in failed) and not one.is_alone:
            self._slow.append(one.scenario)
            told = "SLOW"
        used = (one.folder / "cpu.txt").read_text() if (one.folder / "cpu.txt").exists() else "?"
        line = f"{one.scenario.name:12} {told:7} {passed:6.1f} s, {used:>3} s of processors"
        print(line, file=sys.stderr, flush=True)
        if told == "FAILED":
            self.failed.append(one.folder / "story.txt")


def main() -> int:
    arguments = asked()
    if arguments.play:
        return play(arguments.play, arguments.folder, arguments.seed, arguments.long, arguments.minutes)
    signal.signal(signal.SIGTERM, _interrupt)
    chosen = arguments.only.split(",") if arguments.only else None
    scenarios = [
        one for one in SCENARIOS if (arguments.long or one.is_short) and (chosen is None or one.name in chosen)
    ]
    root = Path(tempfile.mkdtemp(prefix="pitwall-chaos-"))
    print(f"seed {arguments.seed}, in {root}", file=sys.stderr, flush=True)
    began, show = time.monotonic(), Show(arguments, root)
    try:
        rows = show.run(scenarios)
        broken_down = _broken_down(root)
    finally:
        left = clearing.clear(root)
        if not arguments.keep and not show.failed:
            shutil.rmtree(root, ignore_errors=True)
    rows.append(broken_down)
    rows.append(Row(LEFTOVERS, ", ".join(left) or "none", "none", holds=not left))
    print("\n| what | survived | must |\n|---|---|---|")
    print("\n".join(row.line() for row in rows))
    failed = [row for row in rows if row.holds is False]
    skipped, passed = sum(row.holds is None for row in rows), time.monotonic() - began
    held = f"{len(rows) - len(failed) - skipped} of {len(rows)} held" + (f", {skipped} skipped" if skipped else "")
    print(f"\n{held}, in {passed:.0f} s, seed {arguments.seed}")
    for story in show.failed:  # last: where only the end of a long output is kept, it is there
        print(f"\n{story}:\n{story.read_text(errors='replace')[-2500:]}")
    if failed:
        print("\n" + "\n".join(row.line() for row in failed))
    return 1 if failed else 0


def _broken_down(root: Path) -> Row:
    """What nobody asked about: it may have been started again, and have harmed no run."""
    logs = {path: path.read_text(errors="replace") for path in root.glob("*/*/*.log")}
    bugs = [path for path, text in logs.items() if path.stem == "app" and "Exception in ASGI application" in text]
    broken = [path for path, text in logs.items() if path.stem != "app" and "Traceback (most recent call" in text]
    for path in bugs + broken:
        at = max(logs[path].find("Traceback (most recent call"), 0)
        print(f"{path}:\n{logs[path][at : at + 3000]}", file=sys.stderr, flush=True)
    figure = f"{len(bugs)} apps, {len(broken)} workers"
    return Row("All of these: apps that answered 500, workers that broke down", figure, "none", not bugs + broken)


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--long", action="store_true", help="run for an hour")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long the long one's storms last (default: 60)")
    parser.add_argument("--seed", type=int, default=randbelow(10**6), help="random seed (default: a new one)")
    parser.add_argument("--only", default="", metavar="NAMES", help=", ".join(one.name for one in SCENARIOS))
    parser.add_argument("--at-once", type=int, default=8, metavar="N", help="scenarios at once (default: 8)")
    parser.add_argument("--keep", action="store_true", help="keep the scenarios' folders")
    parser.add_argument("--play", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _environment() -> dict[str, str]:
    """Of a scenario. Where Python keeps no bytecode, it does here: processes start by the hundred."""
    kept = dict(os.environ)
    if kept.pop("PYTHONDONTWRITEBYTECODE", "") and (ROOT / ".venv").is_dir():
        kept["PYTHONPYCACHEPREFIX"] = str(ROOT / ".venv" / "bytecode")
    return kept


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
