"""Builds an ONNX model from a trained one, directly from its layers with the `onnx` library, without a framework.

From images as stored, 0 to 255, to probabilities.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from trainer.inference.trained import TrainedModel
from trainer.models.layers import Layer

OPSET = 20  # the first with Gelu (ONNX 1.15, 2023)
IR = 9  # of the same release, so that older runtimes can read it


def build_onnx(net: TrainedModel) -> onnx.ModelProto:
    """From `pictures`, float32 RGB (b, 32, 32, 3) with values 0 to 255, to `probabilities` (b, classes).

    The metadata holds the class names, the epoch (the run's best) and its validation accuracy as this model predicts,
    without TTA. Raises onnx.checker.ValidationError.
    """
    walk = _GraphBuilder(net)
    made = helper.make_graph(
        walk.nodes,
        "pitwall",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["b", *net.layers[0].shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["b", len(net.classes)])],
        walk.constants,
    )
    model = helper.make_model(made, producer_name="pitwall", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR
    known = {"classes": json.dumps(net.classes), "epoch": str(net.epoch), "epoch_is": "best"}
    if net.val_accuracy is not None:
        known["val_accuracy"] = repr(net.val_accuracy)
    helper.set_model_props(model, known)
    onnx.checker.check_model(model)
    return model


class _GraphBuilder:
    """Collects nodes and constants. Inside, images are (b, channels, rows, columns), as ONNX requires."""

    def __init__(self, net: TrainedModel) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._weights = net.weights
        scaled = self._node("Div", ["pictures", self._constant("scale", net.scale)], "scaled")
        normal = self._node("Sub", [scaled, self._constant("shift", net.shift)], "normal")
        self._given = {net.layers[0].name: self._node("Transpose", [normal], "turned", perm=[0, 3, 1, 2])}
        for layer in net.layers[1:]:
            self._given[layer.name] = self._layer(layer, [self._given[name] for name in layer.inputs])
        self._node("Softmax", [self._given[net.layers[-1].name]], "probabilities", axis=-1)

    def _layer(self, layer: Layer, taken: list[str]) -> str:
        knobs, name = layer.knobs, layer.name
        match layer.kind:
            case "conv":
                size = knobs["size"]
                before = (size - 1) // 2 if knobs["padding"] == "same" else 0
                after = size - 1 - before if knobs["padding"] == "same" else 0
                more = [self._constant(f"{name}/bias", self._weight(layer, "bias"))] if knobs["has_bias"] else []
                kernel = self._constant(f"{name}/kernel", self._weight(layer, "kernel").transpose(3, 2, 0, 1))
                return self._node("Conv", [*taken, kernel, *more], name, pads=[before, before, after, after])
            case "batch_norm":
                mean = self._weight(layer, "moving_mean")
                gamma = self._weight(layer, "gamma") if knobs["is_scaled"] else np.ones_like(mean)
                four = (gamma, self._weight(layer, "beta"), mean, self._weight(layer, "moving_variance"))
                names = [self._constant(f"{name}/{number}", one) for number, one in enumerate(four)]
                return self._node("BatchNormalization", [*taken, *names], name, epsilon=float(knobs["epsilon"]))
            case "activation":
                settings = {"alpha": float(knobs["alpha"])} if knobs["function"] == "celu" else {}
                return self._node(knobs["function"].capitalize(), taken, name, **settings)
            case "max_pool":
                size = [knobs["size"]] * 2
                return self._node("MaxPool", taken, name, kernel_shape=size, strides=size)
            case "identity" | "dropout":
                return taken[0]
            case "add":
                return self._node("Add", taken, name)
            case "flatten":
                back = self._node("Transpose", taken, f"{name}/turned", perm=[0, 2, 3, 1])
                return self._node("Flatten", [back], name, axis=1)
            case "dense":
                return self._node(
                    "MatMul", [*taken, self._constant(f"{name}/kernel", self._weight(layer, "kernel"))], name
                )
            case "scale":
                return self._node("Mul", [*taken, self._constant(f"{name}/factor", np.float32(knobs["factor"]))], name)
        raise ValueError(f"no ONNX operator for a layer of kind {layer.kind}")

    def _weight(self, layer: Layer, name: str) -> NDArray[Any]:
        return self._weights[f"{layer.name}/{name}"]

    def _constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def _node(self, kind: str, taken: list[str], name: str, **knobs: Any) -> str:
        self.nodes.append(helper.make_node(kind, taken, [name], name, **knobs))
        return name
