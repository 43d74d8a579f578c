"""ResNet9: the nine-layer residual net of David Page's DAWNBench entry, as the original experiment wrote it.

Page, "How to train your ResNet" (myrtle.ai, 2018). Layers carry the original's names. Keras only: must not
know which backend runs it, how it is trained, or what its pictures show.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from trainer.recipe import ResNet9


def resnet9(knobs: ResNet9, classes: int, side: int = 32) -> keras.Model:
    """Pictures (b, side, side, 3) float32 to logits (b, classes) float32. `side` is 32 or a multiple of it.

    The softmax is left to the loss (`from_logits`), which is the same net with a more exact gradient. At
    width 64 with 10 classes: 6,577,600 parameters, of them 6,573,120 trainable.
    """
    width = knobs.width
    pictures = keras.Input((side, side, 3), name="model_input")

    x = _conv_bn_relu(pictures, width, 1, knobs)

    x = _conv_bn_relu(x, 2 * width, 2, knobs)
    x = layers.MaxPool2D(2, name="pool1")(x)
    if knobs.identity:
        x = layers.Identity(name="id1")(x)
    x = _residual(x, 2 * width, 3, knobs)

    x = _conv_bn_relu(x, 4 * width, 5, knobs)
    x = layers.MaxPool2D(2, name="pool2")(x)

    x = _conv_bn_relu(x, 8 * width, 6, knobs)
    x = layers.MaxPool2D(2, name="pool3")(x)
    if knobs.identity:
        x = layers.Identity(name="id2")(x)
    x = _residual(x, 8 * width, 7, knobs)

    x = layers.MaxPool2D(4, name="pool4")(x)
    x = layers.Flatten(name="flatten")(x)
    logits = layers.Dense(classes, use_bias=False, name="dense")(x)
    return keras.Model(pictures, logits, name="resnet9")


def _conv_bn_relu(x: Any, filters: int, number: int, knobs: ResNet9) -> Any:
    """`number` counts the convolutions from 1. No bias: the batch norm that follows has one."""
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"Conv{number}")(x)
    x = layers.BatchNormalization(epsilon=1e-5, momentum=knobs.bn_momentum, name=f"Bn{number}")(x)
    return layers.Activation("relu", name=f"relu{number}")(x)


def _residual(x: Any, filters: int, number: int, knobs: ResNet9) -> Any:
    """x + two convolutions of x, with the dropout between them. `number` is the first one's."""
    branch = _conv_bn_relu(x, filters, number, knobs)
    branch = layers.Dropout(knobs.dropout, name=f"dropout{number // 3}")(branch)
    branch = _conv_bn_relu(branch, filters, number + 1, knobs)
    return layers.Add(name=f"add{number // 3}")([x, branch])
