"""What a net took each validation picture for, packed small enough for an event: base64 of deflated numbers.

Light: the web process unpacks it. Must not know nets or runs.
"""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np
from numpy.typing import NDArray

MAX_IMAGES = 2_000_000  # pictures that are unpacked; more would be no validation split


def pack(classes: NDArray[np.integer]) -> str:
    """`classes`: (n,) class of each picture, 0..65535. About 6 kB of text for 10,000 pictures of ten classes."""
    kind = "<u1" if not len(classes) or classes.max() < 256 else "<u2"
    head = kind.encode()
    return base64.b64encode(head + zlib.compress(classes.astype(kind).tobytes(), 9)).decode()


def pack_confidences(shares: NDArray[np.floating]) -> str:
    """`shares`: (n,) probability (0..1) of the class that each was taken for, kept to a 255th; no number is none."""
    return pack(np.rint(255 * np.nan_to_num(shares).clip(0, 1)).astype(np.uint8))


def unpack_confidences(text: str) -> NDArray[np.float64]:
    """(n,), shares. Raises ValueError where it is none of ours."""
    return unpack(text).clip(0, 255) / 255


def unpack(text: str) -> NDArray[np.uint16]:
    """(n,). Raises ValueError where it is none of ours."""
    try:
        raw = base64.b64decode(text, validate=True)
        inflate = zlib.decompressobj()
        content = inflate.decompress(raw[3:], 2 * MAX_IMAGES)
        if not inflate.eof or raw[:3] not in {b"<u1", b"<u2"}:
            raise ValueError("too long, or cut")
        return np.frombuffer(content, raw[:3].decode()).astype(np.uint16)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"no predictions: {error}") from error
