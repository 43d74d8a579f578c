"""A stand-in for the ML child: `python actor.py PART …` speaks the trainer's protocol and ends as its part says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

STOPPED = 75


def say(event: str, **more: Any) -> None:
    print(json.dumps({"event": event} | more), flush=True)


def epoch(number: int) -> None:
    losses = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    say("epoch", epoch=number, **losses, learning_rate=0.1, seconds=0.01)


def train(epochs: int, pause_s: float) -> None:
    for number in range(1, epochs + 1):
        epoch(number)
        print(f"epoch {number}", file=sys.stderr, flush=True)
        time.sleep(pause_s)
    say("finished", epochs=epochs)


stopped: list[bool] = []


def folder() -> Path:
    return Path(sys.argv[sys.argv.index("--dir") + 1])


def checkpoints() -> list[Path]:
    return sorted(folder().glob("checkpoint-*"))


def weights(epoch: int) -> bytes:
    """A file of no arrays, with the facts that a worker reads."""
    place = {"epoch": epoch, "best_epoch": epoch}
    facts = {"place": place, "recipe": {}, "dataset_fingerprint": "", "environment": {}}
    header = json.dumps({"__metadata__": {"facts": json.dumps(facts)}}).encode()
    return len(header).to_bytes(8, "little") + header


def keep(name: str, epoch: int) -> None:
    """Whole or not at all, as the trainer does it: the worker may be reading the one before."""
    part = folder() / f"{name}.part"
    part.write_bytes(weights(epoch))
    part.rename(folder() / name)


def keep_checkpoints(epochs: int) -> None:
    """Train from the newest checkpoint on, one checkpoint an epoch, until told to stop."""
    first = int(checkpoints()[-1].name.split("-")[1]) if checkpoints() else 0
    print(f"goes on after {first}, known {sys.argv[sys.argv.index('--known') + 1] if '--known' in sys.argv else '-'}",
          file=sys.stderr, flush=True)  # fmt: skip
    for number in range(first + 1, epochs + 1):
        epoch(number)
        keep(f"checkpoint-{number:05d}-000000.safetensors", number)
        keep("best.safetensors", number)
        say("checkpoint", epoch=number)
        time.sleep(0.05)
        if stopped:
            sys.exit(STOPPED)
    say("finished", epochs=epochs)


def main(part: str) -> int:
    recipe = json.load(sys.stdin)
    environment: dict[str, Any] = {"pid": os.getpid(), "device": os.environ.get("CUDA_VISIBLE_DEVICES")}
    environment |= {"settings": [name for name in os.environ if name.startswith("PITWALL_")]}
    parameters = {"total": 1, "trainable": 1, "non_trainable": 0}
    common = {"classes": ["a"], "steps_per_epoch": 1, "parameters": parameters, "environment": environment}
    say("started", train_images=1, val_images=1, **common)
    match part:
        case "good":
            train(recipe["epochs"], 0.0)
        case "slow":
            train(recipe["epochs"], 0.05)
        case "polite":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))
            time.sleep(60)
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say("step", phase="training", epoch=1, step=1, steps_per_epoch=2)
            time.sleep(60)
        case "careful":
            signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
            keep_checkpoints(recipe["epochs"])
        case "mortal":  # dies once it has a checkpoint, and is careful when it goes on
            if checkpoints():
                keep_checkpoints(recipe["epochs"])
            else:
                keep_checkpoints(2)
                os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            say("step", phase="training", epoch=1, step=1, steps_per_epoch=9)
            say("step", phase="training", epoch=1, step=2, steps_per_epoch=9)
            time.sleep(60)
        case "no device":
            say("failed", kind="device_lost", message="The GPU no longer responds.")
            return 1
        case "crash":
            print("Traceback: the last words", file=sys.stderr)
            return 3
        case "diverge":
            say("failed", kind="diverged", message="The loss is not a number.", hint="Lower max_lr.")
            return 1
        case "die":
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
        case "broken":
            sys.stderr.buffer.write("größer ".encode() + b"\xff\xfe\x80 " + "日".encode()[:2] + b"\nnext\n")
            sys.stderr.buffer.write(b"x" * 3_000_000 + b"\nafter the long line\n")
        case "flood":
            for _ in range(10 * 1024):
                sys.stderr.write("x" * 1023 + "\n")
        case "garbage":
            print("a library wrote this")
            print("[1, 2")
            sys.stdout.flush()
            sys.stdout.buffer.write(b"\xff\xfe\n")
            epoch(1)
        case "poison":
            say("from_a_newer_trainer", more=1)
            print('{"event": "step", "phase": "training", "train_loss": NaN}')
            print('{"event": "checkpoint", "epoch": 1, "more": "\\ud800"}')
            print("[" * 100_000, flush=True)
            time.sleep(0.3)  # so that what follows is another report
            epoch(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
