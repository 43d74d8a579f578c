"""The recipes that ship with Pitwall, by name. A preset's `version` rises when its recipe changes.

The recipes are in presets_seed, presets_trials and presets_page; here they are put in order, each with a small
sibling. Must not know any ML framework: recipes only.
"""

from __future__ import annotations

from trainer.presets.original import SEED, STEPS
from trainer.presets.page import PAGE
from trainer.presets.preset import FAMILIES, Family, Preset, varied
from trainer.presets.trials import TRIALS
from trainer.recipe import Dataset, Recipe
from trainer.recipe.augmentation import Cutout, PadCrop
from trainer.recipe.network import ResNet9
from trainer.recipe.optimizer import SGD, WeightDecay
from trainer.recipe.schedule import Piecewise, Schedule, Triangular

__all__ = ["FAMILIES", "PRESETS", "Family", "Preset", "small"]

SMALL_BATCH = 128  # pictures: 4,000 of them are still 31 steps
RATES = {"lr", "base_lr", "max_lr", "start_lr", "final_lr", "rise", "fall"}  # knobs of the schedules

QUICKSTART = Preset(
    name="quickstart",
    version=1,
    title="Quickstart",
    description=(
        "A narrow ResNet9 on the embedded digits: about 98 % in under a minute on two CPU cores, no download. "
        "Its schedule and cutout are the original experiment's, made to fit 1,497 small pictures: 16 epochs are two "
        "whole cycles, and nothing is mirrored, since a mirrored digit is another digit, or none."
    ),
    family="start",
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


def small(preset: Preset) -> Preset:
    """The same experiment for two CPU cores: fewer pictures, a narrower net, smaller batches and slower rates.

    A rate fits a batch of its size (Page: in proportion), so it is divided by as much as the batch. Where the loss
    is summed, rates are per picture already, and it is the weight decay that goes with the batch.
    """
    recipe, share = preset.recipe, SMALL_BATCH / preset.recipe.batch_size
    is_summed = recipe.loss.reduction == "sum"
    schedule, optimizer = recipe.schedule, recipe.optimizer
    if is_summed:
        decay = optimizer.weight_decay
        decay = decay.model_copy(update={"value": decay.value * share})
        optimizer = optimizer.model_copy(update={"weight_decay": decay})
        rates = "its rates as they are, being per picture"
    else:
        schedule = _slower(schedule, share)
        rates = f"its rates divided by {1 / share:g}"
    return Preset(
        name=f"{preset.name}-small",
        version=preset.version,
        title=f"{preset.title}, small",
        description=(
            f"{preset.title} on two CPU cores: a narrow net and 4,000 pictures, minutes. "
            f"It is {preset.name} at a width of 16 and in batches of {SMALL_BATCH}, {rates}, with a "
            "target of 50 %. "
            "It shows how the recipe behaves, not how accurate it is: no figure of the large one holds here."
        ),
        family=preset.family,
        recipe=varied(
            recipe,
            dataset=Dataset(name="cifar10", train_limit=4000, val_limit=1000),
            model=recipe.model.model_copy(update={"width": 16}),
            schedule=schedule,
            optimizer=optimizer,
            batch_size=SMALL_BATCH,
            target_accuracy=0.5,
        ),
        small_of=preset.name,
    )


def _slower(schedule: Schedule, share: float) -> Schedule:
    if isinstance(schedule, Piecewise):
        return Piecewise(knots=[[epoch, rate * share] for epoch, rate in schedule.knots])
    return schedule.model_copy(update={knob: value * share for knob, value in schedule if knob in RATES})


def _all() -> list[Preset]:
    """In the order shown, each small one after its large one."""
    large = [*SEED, *TRIALS, *STEPS, *PAGE]
    return [QUICKSTART, *(one for preset in large for one in (preset, small(preset)))]


PRESETS: dict[str, Preset] = {preset.name: preset for preset in _all()}
