"""One worker for one device: `python -m trainer.worker --server URL --token-file FILE --device cpu|gpu:N`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from pathlib import Path

from trainer.machine.device_load import load_reader
from trainer.machine.devices import list_devices, parse_device
from trainer.machine.process import die_with
from trainer.worker.attempt import RETRY_S
from trainer.worker.child import TRAINER
from trainer.worker.client import Client
from trainer.worker.tasks import Tasks
from trainer.worker.worker import Worker, child_environment

logger = logging.getLogger("pitwall.worker")


def main(trainer: tuple[str, ...] = TRAINER) -> None:
    """`trainer`: the command of a training process, without its arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.worker", description="One worker for one device: claim runs and train them."
    )
    parser.add_argument("--server", default=os.environ.get("PITWALL_SERVER", "http://127.0.0.1:8000"))
    data_dir = Path(os.environ.get("PITWALL_DATA_DIR", "data"))
    parser.add_argument("--token-file", type=Path, default=data_dir / "worker-token")
    parser.add_argument("--data-dir", type=Path, default=data_dir, help="folder of data sets and runs in progress")
    parser.add_argument("--device", type=_device, default=None, help="cpu, gpu:N, or auto: the first available")
    parser.add_argument("--name", default=None, help="unique name of this worker in the app (default: HOST/DEVICE)")
    parser.add_argument(
        "--checkpoint-every", type=float, default=60.0, metavar="SECONDS", help="minimum interval (default: 60)"
    )
    parser.add_argument(
        "--warm",
        action=argparse.BooleanOptionalAction,
        default=os.environ.get("PITWALL_WARM", "1") != "0",
        help="keep a warm process for the next run (default: PITWALL_WARM, or yes)",
    )
    parser.add_argument("--parent", type=int, default=None, help="end when this process has ended")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line per request
    if arguments.parent is not None:
        die_with(arguments.parent, signal.SIGTERM)
    device = arguments.device or list_devices(os.environ.get("CUDA_VISIBLE_DEVICES"))[0]
    token = _token(arguments.token_file)
    client = Client(arguments.server, token, load_reader(device))
    compiled = arguments.data_dir / "compiled" / device.replace(":", "-")
    more = ("--checkpoint-every", str(arguments.checkpoint_every), "--meter", device, "--compiled", str(compiled))
    worker = Worker(client, device, arguments.data_dir, arguments.name, (*trainer, *more), keeps_warm=arguments.warm)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    Tasks(Client(arguments.server, token), worker.name, device, worker.backends, child_environment("cpu")).start()
    worker.run()
    client.close()


def _device(text: str) -> str | None:
    return None if text == "auto" else parse_device(text)


def _token(path: Path) -> str:
    """Read the worker token. Waits for the file: the app creates it at its first start, perhaps a moment after ours."""
    for attempt in range(sys.maxsize):
        try:
            if token := path.read_text().strip():
                return token
        except (FileNotFoundError, PermissionError) as problem:
            if attempt == 0:
                logger.warning("waiting for the worker token: %s", problem)
        time.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
    raise AssertionError("unreachable")


if __name__ == "__main__":
    main()
