"""Which list of layers a recipe's model part means. Must not know any ML framework."""

from __future__ import annotations

from trainer.models.layers import Layer
from trainer.models.resnet9 import resnet9
from trainer.recipe_model import ResNet9


def layers(knobs: ResNet9, classes: int) -> list[Layer]:
    """Pictures to logits (classes,)."""
    return resnet9(knobs, classes)
