"""imgaug works on this NumPy, in a fresh interpreter, through the shim alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from trainer.augment.imgaug_shim import import_imgaug, restore_numpy_names


def test_the_parts_of_imgaug_that_numpy_2_broke_work():
    augmenters, parameters = import_imgaug()
    image = np.full((8, 8, 3), 128, dtype=np.uint8)
    assert augmenters.OneOf([augmenters.Fliplr(1.0)], seed=1).augment_image(image).shape == image.shape
    assert parameters.FrequencyNoise(exponent=-2).draw_samples((4, 4)).shape == (4, 4)


def test_a_fresh_interpreter_needs_nothing_but_the_shim():
    program = "from trainer.augment.imgaug_shim import import_imgaug; import_imgaug()[0].Sequential([])"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_names_that_numpy_already_has_are_left_alone():
    restore_numpy_names()
    before = vars(np)["sctypes"]
    restore_numpy_names()
    assert vars(np)["sctypes"] is before
