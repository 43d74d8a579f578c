"""Predicting an uploaded image in a process of its own."""

from __future__ import annotations

import base64
import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainer.inference.model_file import write_net
from trainer.inference.upload import MAX_BYTES, UnreadableImage, decode_image


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    made = io.BytesIO()
    picture.save(made, kind)
    return made.getvalue()


def with_exif(content: bytes) -> bytes:
    """A valid PNG with garbled EXIF data."""
    whole = encoded(Image.new("RGB", (40, 40)))
    note = struct.pack(">I", len(content)) + b"eXIf" + content + struct.pack(">I", zlib.crc32(b"eXIf" + content))
    return whole[:33] + note + whole[33:]  # after the header


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that claims these dimensions."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_images_of_every_kind_become_what_a_model_is_given(kind: str, mode: str):
    if (kind, mode) == ("JPEG", "P"):
        mode = "CMYK"  # which it has in place of a palette
    found = decode_image(encoded(Image.new("RGB", (90, 50), (200, 30, 30)).convert(mode), kind))
    assert found.dtype == np.uint8
    assert found.shape == (1, 32, 32, 3)
    middle = found[0, 16, 16].astype(int)
    assert middle == pytest.approx([200, 30, 30] if mode != "L" else [81] * 3, abs=30)


def test_sixteen_bits_of_grey_are_scaled_not_cut_off():
    ramp = np.tile(np.arange(64, dtype=np.uint16) * 1024, (64, 1))
    found = decode_image(encoded(Image.fromarray(ramp)))[0, 16, :, 0].astype(int)
    assert found[2] == pytest.approx(255 * 5 / 64, abs=12)
    assert found[16] == pytest.approx(255 * 33 / 64, abs=12)


def test_what_is_transparent_is_white():
    assert decode_image(encoded(Image.new("RGBA", (40, 40), (0, 0, 0, 0)))).min() == 255


def test_a_image_that_a_camera_held_sideways_is_turned():
    picture = Image.new("RGB", (64, 64), "black")
    picture.paste("white", (0, 0, 32, 64))  # the left half
    exif = Image.Exif()
    exif[274] = 6  # "turn me by a quarter to the right"
    made = io.BytesIO()
    picture.save(made, "JPEG", exif=exif)
    found = decode_image(made.getvalue())[0]
    assert found[:10].mean() > 240
    assert found[-10:].mean() < 15


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        encoded(Image.new("RGB", (50, 50)))[:60],
        b"%PDF-1.7",
        encoded(Image.new("RGB", (50, 50)), "TIFF"),
        b"GIF89a" + bytes(20),
        with_exif(b"MM\x00*"),
        with_exif(b"II*\x00\x08"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes):
    with pytest.raises(UnreadableImage, match="not an image that can be read: send a whole PNG, JPEG"):
        decode_image(content)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (2**31 - 1, 1), (8000, 8000)])
def test_a_bomb_is_refused_before_it_is_decoded(width: int, height: int):
    with pytest.raises(UnreadableImage, match=r"at most 50 million|not a picture"):
        decode_image(bomb(width, height))


def test_a_large_file_is_refused():
    with pytest.raises(UnreadableImage, match="larger than 8 MiB"):
        decode_image(bytes(MAX_BYTES + 1))


def looked(folder: Path, content: bytes) -> tuple[int, dict[str, object]]:
    write_net(folder / "best.safetensors", [str(number) for number in range(10)])
    (folder / "picture").write_bytes(content)
    command = [
        sys.executable,
        "-m",
        "trainer.inference.predict",
        str(folder / "best.safetensors"),
        str(folder / "picture"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.count("\n") == 1, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_process_says_what_the_model_takes_it_for(tmp_path: Path):
    code, said = looked(tmp_path, encoded(Image.new("RGB", (400, 300), (10, 120, 250)), "JPEG"))
    assert code == 0
    assert said["classes"] == [str(number) for number in range(10)]
    assert sum(said["probabilities"]) == pytest.approx(1)  # type: ignore[call-overload]
    seen = Image.open(io.BytesIO(base64.b64decode(str(said["seen"]))))
    assert seen.size == (32, 32)


def test_the_process_says_why_it_cannot(tmp_path: Path):
    code, said = looked(tmp_path, bomb(60_000, 60_000))
    assert code == 2
    assert "50 million" in str(said["problem"])


def test_the_process_brings_no_framework():
    program = "import sys, trainer.inference.predict; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"tensorflow", "keras", "jax", "onnx", "scipy", "app", "fastapi"}
