"""The recipes that ship with Pitwall, by name. A preset's `version` rises when its recipe changes.

Must not know any ML framework: recipes only.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainer.augment.operations import Cutout, Flip, PadCrop
from trainer.recipe import Dataset, Recipe
from trainer.recipe_model import ResNet9
from trainer.recipe_optimizer import SGD, WeightDecay
from trainer.recipe_schedule import Triangular


@dataclass(frozen=True)
class Preset:
    name: str
    version: int
    title: str
    description: str
    recipe: Recipe


QUICKSTART = Preset(
    name="quickstart",
    version=1,
    title="Quickstart",
    description="A narrow ResNet9 on the embedded digits: about 98 % in under a minute on two CPU cores, no download.",
    recipe=Recipe(
        dataset=Dataset(name="digits"),
        model=ResNet9(width=8, dropout=0.1, bn_momentum=0.9),
        # 1,497 pictures in batches of 50 are 30 steps, so two whole cycles end at the foot.
        schedule=Triangular(base_lr=0.001, max_lr=0.05, step_epochs=4),
        optimizer=SGD(weight_decay=WeightDecay(kind="l2", value=5e-4, on="conv")),
        # No flip: a mirrored digit is another digit, or none.
        augment=[PadCrop(pad=2, mode="constant"), Cutout(p=0.25, s_h=0.2)],
        epochs=16,
        batch_size=50,
        target_accuracy=0.95,
    ),
)

RESNET9 = Preset(
    name="resnet9",
    version=1,
    title="ResNet9",
    description="The original experiment on CIFAR-10: width 64, batch 512, three triangular cycles. For a GPU.",
    recipe=Recipe(
        dataset=Dataset(name="cifar10"),
        model=ResNet9(width=64, dropout=0.1, bn_momentum=0.1),
        schedule=Triangular(base_lr=0.001, max_lr=0.4, step_epochs=4),
        optimizer=SGD(
            momentum=0.9,
            nesterov=True,
            decay=1e-5,
            weight_decay=WeightDecay(kind="l2", value=5e-4, on="conv"),
        ),
        augment=[PadCrop(pad=4, mode="reflect"), Flip(p=0.5), Cutout(p=0.5)],
        # 24, not the original's 20: that one ended at the peak of its third cycle.
        epochs=24,
        batch_size=512,
        target_accuracy=0.94,
    ),
)

RESNET9_SMALL = Preset(
    name="resnet9-small",
    version=1,
    title="ResNet9, small",
    description="The same experiment for two CPU cores: a narrow net and 4,000 CIFAR-10 pictures, a few minutes.",
    recipe=Recipe(
        dataset=Dataset(name="cifar10", train_limit=4000, val_limit=1000),
        model=ResNet9(width=16, dropout=0.1, bn_momentum=0.9),
        schedule=Triangular(base_lr=0.001, max_lr=0.1, step_epochs=4),
        augment=[PadCrop(pad=4, mode="reflect"), Flip(p=0.5), Cutout(p=0.5)],
        epochs=16,
        batch_size=100,
        target_accuracy=0.6,
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (QUICKSTART, RESNET9, RESNET9_SMALL)}
