"""Which list of layers a recipe's model part means. Must not know any ML framework."""

from __future__ import annotations

from trainer.models.airbench import airbench
from trainer.models.layers import Layer
from trainer.models.resnet9 import resnet9
from trainer.recipe.network import Airbench, ResNet9


def build_layers(knobs: ResNet9 | Airbench, classes: int) -> list[Layer]:
    """Pictures to logits (classes,)."""
    return airbench(knobs, classes) if isinstance(knobs, Airbench) else resnet9(knobs, classes)
