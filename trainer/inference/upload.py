"""Decodes an uploaded, untrusted image to a model's input. Meant for a process with limited memory and time.

Formats, size in bytes and number of pixels are checked before anything is decoded.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np

from trainer.augment.normalisation import Images
from trainer.data.folders import SIDE

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
MAX_BYTES = 8 * 2**20
MAX_PIXELS = 50_000_000  # a large camera's; some 200 MB while decoding, four times that with transparency
TOO_MANY_PIXELS = "the image has too many pixels: at most 50 million are decoded, send a smaller copy"


class UnreadableImage(Exception):
    """`str(error)` says what is wrong with the image, and what works."""


def decode_image(content: bytes) -> Images:
    """uint8 (1, 32, 32, 3) RGB: rotated by its EXIF orientation, transparency on white, resized to a square.

    Raises UnreadableImage.
    """
    from PIL import Image, ImageOps

    if len(content) > MAX_BYTES:
        raise UnreadableImage(f"the image is larger than {MAX_BYTES // 2**20} MiB: send a smaller copy")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's warning of a decompression bomb: the limit below is ours
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableImage(TOO_MANY_PIXELS)
                image.draft("RGB", (8 * SIDE, 8 * SIDE))  # decode a JPEG at a reduced size
                upright = ImageOps.exif_transpose(image)
                small = _to_rgb(upright).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    except Image.DecompressionBombError as error:  # Pillow's own limit, checked first for far larger images
        raise UnreadableImage(TOO_MANY_PIXELS) from error
    except UnreadableImage:
        raise
    except Exception as error:  # Pillow's readers raise any kind of error on a garbled file
        kinds = ", ".join(FORMATS[:-1])
        raise UnreadableImage(
            f"this is not an image that can be read: send a whole {kinds} or {FORMATS[-1]}"
        ) from error
    return np.asarray(small, dtype=np.uint8)[None]


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB, with transparency on white."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip instead of scale
        levels = np.asarray(image, dtype=np.float64) / 257
        return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        clear = image.convert("RGBA")
        ground = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(ground, clear).convert("RGB")
    return image.convert("RGB")
