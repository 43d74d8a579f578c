"""Packs the predicted classes of the validation images small enough for an event: base64 of deflated numbers."""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np
from numpy.typing import NDArray

MAX_IMAGES = 2_000_000  # unpacked at most; no validation split is larger


def pack(classes: NDArray[np.integer]) -> str:
    """`classes`: (n,) predicted class of each image, 0..65535. About 6 kB of text for 10,000 images of ten classes."""
    kind = "<u1" if not len(classes) or classes.max() < 256 else "<u2"
    head = kind.encode()
    return base64.b64encode(head + zlib.compress(classes.astype(kind).tobytes(), 9)).decode()


def pack_confidences(shares: NDArray[np.floating]) -> str:
    """`shares`: (n,) probability (0..1) of each predicted class, rounded to 1/255; NaN becomes 0."""
    return pack(np.rint(255 * np.nan_to_num(shares).clip(0, 1)).astype(np.uint8))


def unpack_confidences(text: str) -> NDArray[np.float64]:
    """Probabilities (n,), 0..1. Raises ValueError if the text was not made by `pack_confidences`."""
    return unpack(text).clip(0, 255) / 255


def unpack(text: str) -> NDArray[np.uint16]:
    """Classes (n,). Raises ValueError if the text was not made by `pack`."""
    try:
        raw = base64.b64decode(text, validate=True)
        inflate = zlib.decompressobj()
        content = inflate.decompress(raw[3:], 2 * MAX_IMAGES)
        if not inflate.eof or raw[:3] not in {b"<u1", b"<u2"}:
            raise ValueError("too long, or cut")
        return np.frombuffer(content, raw[:3].decode()).astype(np.uint16)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"no predictions: {error}") from error
