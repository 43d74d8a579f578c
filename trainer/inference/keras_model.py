"""Builds a Keras model from a trained one, of Keras' own layers only, so that it can be used without Pitwall.

From images as stored, 0 to 255, to probabilities.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers as kl

from trainer.engine.model import build_layer, norm_arguments
from trainer.inference.trained import TrainedModel
from trainer.models.layers import Layer


def build_keras(net: TrainedModel) -> keras.Model:
    """From float32 RGB images (b, 32, 32, 3) with values 0 to 255, to probabilities (b, classes)."""
    first = net.layers[0]
    pictures = keras.Input(first.shape, name="pictures")
    scales, offsets = [float(1 / one) for one in net.scale], [float(-one) for one in net.shift]
    given: dict[str, Any] = {first.name: kl.Rescaling(scales, offsets, name="normalise")(pictures)}
    for layer in net.layers[1:]:
        taken: Any = [given[name] for name in layer.inputs]
        for part in _build_parts(layer):
            taken = part(taken if isinstance(taken, list) and len(taken) > 1 else _only(taken))
        given[layer.name] = taken
    shares = kl.Softmax(name="probabilities")(given[net.layers[-1].name])
    model = keras.Model(pictures, shares, name="pitwall")
    for layer in net.layers:
        for variable in model.get_layer(layer.name).weights if layer.parameters else []:
            variable.assign(net.weights[f"{layer.name}/{variable.name}"])
    return model


def _build_parts(layer: Layer) -> list[Any]:
    knobs, name = layer.knobs, layer.name
    if layer.kind == "activation" and knobs["function"] == "celu":  # as a string, Keras' celu takes no alpha
        alpha = knobs["alpha"]
        return [
            kl.Rescaling(1 / alpha, name=f"{name}_in"),
            kl.Activation("celu", name=name),
            kl.Rescaling(alpha, name=f"{name}_out"),
        ]
    if layer.kind == "activation":
        return [kl.Activation(knobs["function"], name=name)]
    if layer.kind == "batch_norm":
        return [kl.BatchNormalization(**norm_arguments(knobs), name=name)]
    return [build_layer(layer, {"name": name}, 0, kl.BatchNormalization)]


def _only(taken: Any) -> Any:
    return taken[0] if isinstance(taken, list) else taken
