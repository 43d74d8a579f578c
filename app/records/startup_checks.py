"""Checks before the database is opened: a safe SQLite version, a local file, no network file system, no second server.

Each Refusal says in one line what to do.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

import pysqlite3
from sqlalchemy import make_url

from app.errors import Refusal

MOUNTS = Path("/proc/self/mounts")  # of this process, as the kernel sees them

# File systems, as the kernel names them, whose locks do not hold between hosts or containers.
NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.rclone",
    "lustre",
    "beegfs",
    "gpfs",
    "afs",
    "virtiofs",
    "ceph",
    "glusterfs",
}


def safe_sqlite(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the WAL-reset race: 3.51.3 and later, 3.50.7+ and 3.44.6+ of their branches.

    Source: sqlite.org/wal.html#walresetbug. Every 3.7.0 to 3.51.2 can corrupt a WAL database when two
    connections race on a reset.
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def local_file(url: str, version: tuple[int, ...] = pysqlite3.sqlite_version_info, mounts: Path = MOUNTS) -> Path:
    """The file of the URL; creates its folder. Refuses what is not safe with SQLite (of `version`)."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise Refusal("PITWALL_DATABASE_URL must name an SQLite file, such as sqlite:////srv/pitwall/pitwall.db")
    if not safe_sqlite(version):
        raise Refusal(
            f"SQLite {'.'.join(map(str, version))} can corrupt a WAL database (fixed in 3.51.3): "
            "reinstall requirements-web.txt, whose pysqlite3 brings its own"
        )
    path = Path(parsed.database).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = file_system(path.parent, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise Refusal(
            f"{path.parent} is on {kind}, where SQLite's locks do not hold: set PITWALL_DATA_DIR to a local disk"
        )
    return path


def file_system(folder: Path, mounts: Path = MOUNTS) -> str:
    """The kernel's name for the file system that holds `folder` (`ext4`, `nfs4` …); empty: unknown."""
    best = ("", "")
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        point, kind = line.split()[1:3]
        if folder.is_relative_to(point.replace("\\040", " ")) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def lock(path: Path) -> IO[str]:
    """Lock the database for as long as this process lives: a file has one server."""
    file = path.with_name(path.name + ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise Refusal(
            f"another Pitwall serves {path}: stop it, or give this one its own PITWALL_DATA_DIR and PITWALL_PORT"
        ) from None
    return file
