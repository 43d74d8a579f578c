"""The list of layers for the model part of a recipe."""

from __future__ import annotations

from trainer.models.airbench import airbench
from trainer.models.layers import Layer
from trainer.models.resnet9 import resnet9
from trainer.recipe.network import Airbench, ResNet9


def build_layers(knobs: ResNet9 | Airbench, classes: int) -> list[Layer]:
    """From images to logits (classes,)."""
    return airbench(knobs, classes) if isinstance(knobs, Airbench) else resnet9(knobs, classes)
