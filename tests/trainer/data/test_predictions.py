"""Packed predictions come back as they were, are small, and are refused where they are cut or foreign."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.predictions import MAX_IMAGES, pack, unpack


def drawn(classes: int, pictures: int) -> np.ndarray:
    return np.random.default_rng(classes).integers(0, classes, pictures)


@given(
    classes=st.one_of(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 999)), st.lists(st.integers(0, 65535))),
    kind=st.sampled_from([np.uint16, np.int32, np.int64]),
)
def test_what_is_packed_comes_back(classes: list[int], kind: type):
    back = unpack(pack(np.array(classes, kind)))

    assert back.dtype == np.uint16
    assert back.tolist() == classes


@pytest.mark.parametrize("classes", [[], [0], [255], [256], [65535], [255, 256]])
def test_the_edges_of_a_byte_come_back(classes: list[int]):
    assert unpack(pack(np.array(classes, np.int64))).tolist() == classes


@pytest.mark.parametrize(("classes", "most"), [(2, 2_500), (10, 7_000), (1000, 21_000)])
def test_ten_thousand_pictures_are_a_few_thousand_letters(classes: int, most: int):
    packed = pack(drawn(classes, 10_000))

    assert len(packed) <= most
    assert packed.isascii()
    assert unpack(packed).tolist() == drawn(classes, 10_000).tolist()


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_cut_text_is_refused(share: float):
    packed = pack(drawn(10, 300))

    with pytest.raises(ValueError):  # whatever its sentence
        unpack(packed[: int(share * len(packed))])


def text_of(head: bytes, content: bytes) -> str:
    return base64.b64encode(head + content).decode()


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "no base64!",
        "größer",
        "AAAA",
        text_of(b"<u1", b"not deflated"),
        text_of(b"<u4", zlib.compress(bytes(8))),
        text_of(b"", zlib.compress(bytes(8))),
        text_of(b"<u2", zlib.compress(bytes(7))),
        text_of(b"<u1", zlib.compress(bytes(2 * MAX_IMAGES + 1))),
        text_of(b"<u1", zlib.compress(bytes(100))[:-1]),
    ],
    ids=["empty", "words", "no-ascii", "zeros", "flat", "kind", "headless", "half-a-number", "a-bomb", "cut"],
)
def test_a_foreign_text_is_refused(foreign: str):
    with pytest.raises(ValueError):  # whatever its sentence
        unpack(foreign)


def test_a_whole_validation_split_of_the_largest_size_is_taken():
    classes = np.zeros(MAX_IMAGES, np.int64)
    classes[-1] = 999

    assert unpack(pack(classes)).tolist() == classes.tolist()
