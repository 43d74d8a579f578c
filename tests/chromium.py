"""Find a Chromium for the browser tests; run as a program, install Debian's where it is missing and we may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BY_HAND = "apt-get update && apt-get install -y chromium"


def find() -> str | None:
    """The browser's path; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    if find():
        return 0
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"No Chromium here, and it may not be installed from here. Add it with: {BY_HAND}", file=sys.stderr)
        return 1
    print("Installing Chromium from Debian's packages ...", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for verb in (["update"], ["install", "-y", "chromium"]):
        subprocess.run(["apt-get", "-qq", *verb], check=True, env=environment, stdout=subprocess.DEVNULL)
    return 0 if find() else 1


if __name__ == "__main__":
    sys.exit(main())
