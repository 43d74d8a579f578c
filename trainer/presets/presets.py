"""All presets by name, in display order: the quickstart, then each preset followed by its small version."""

from __future__ import annotations

from trainer.presets.original import SEED, STEPS
from trainer.presets.preset import FAMILIES, Preset, with_parts
from trainer.presets.published import PUBLISHED
from trainer.presets.trials import TRIALS
from trainer.recipe import Dataset, Recipe
from trainer.recipe.augmentation import Cutout, PadCrop
from trainer.recipe.network import ResNet9
from trainer.recipe.optimizer import SGD, WeightDecay
from trainer.recipe.schedule import Piecewise, Schedule, Triangular

__all__ = ["FAMILIES", "PRESETS"]

SMALL_BATCH = 128  # images; 4,000 of them still make 31 steps
RATES = {"lr", "base_lr", "min_lr", "max_lr", "start_lr", "final_lr", "rise", "fall"}  # settings of schedules

QUICKSTART = Preset(
    name="quickstart",
    version=1,
    title="Quickstart",
    description=(
        "A narrow ResNet9 on the embedded digits: about 98 % in under a minute on two CPU cores, no download. "
        "Schedule and cutout are those of the original experiment, adapted to 1,497 small images: 16 epochs are two "
        "full cycles, and there is no flip, since a mirrored digit is a different digit, or none."
    ),
    family="start",
    recipe=Recipe(
        dataset=Dataset(name="digits"),
        model=ResNet9(width=8, dropout=0.1, bn_momentum=0.9),
        # 1,497 images in batches of 50 are 30 steps, so two full cycles end at the base rate
        schedule=Triangular(base_lr=0.001, max_lr=0.05, step_epochs=4),
        optimizer=SGD(weight_decay=WeightDecay(kind="l2", value=5e-4, on="conv")),
        augment=[PadCrop(pad=2, mode="constant"), Cutout(p=0.25, s_h=0.2)],
        epochs=16,
        batch_size=50,
        target_accuracy=0.95,
    ),
)


def make_small(preset: Preset) -> Preset:
    """The same experiment for two CPU cores: fewer images, a narrower model, smaller batches and learning rates.

    Learning rates are proportional to the batch size (Page), so they are divided by the same factor. With a summed
    loss, rates are per image already; instead, weight decay is proportional to the batch size.
    """
    recipe, share = preset.recipe, SMALL_BATCH / preset.recipe.batch_size
    is_summed = recipe.loss.reduction == "sum"
    schedule, optimizer = recipe.schedule, recipe.optimizer
    if is_summed:
        decay = optimizer.weight_decay
        decay = decay.model_copy(update={"value": decay.value * share})
        optimizer = optimizer.model_copy(update={"weight_decay": decay})
        rates = "with unchanged learning rates, which are per image,"
    else:
        schedule = _scale_rates(schedule, share)
        rates = f"with learning rates divided by {1 / share:g}"
    return Preset(
        name=f"{preset.name}-small",
        version=preset.version,
        title=f"{preset.title}, small",
        description=(
            f"{preset.title} for two CPU cores: a narrow model, 4,000 images, done in minutes. "
            f"This is {preset.name} at width 16 and batch size {SMALL_BATCH}, {rates} and a target of 50 %. "
            "It shows how the recipe behaves, not how accurate it is: the figures of the full preset do not apply."
        ),
        family=preset.family,
        recipe=with_parts(
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


def _scale_rates(schedule: Schedule, factor: float) -> Schedule:
    if isinstance(schedule, Piecewise):
        return Piecewise(knots=[[epoch, rate * factor] for epoch, rate in schedule.knots])
    return schedule.model_copy(update={knob: value * factor for knob, value in schedule if knob in RATES})


PRESETS: dict[str, Preset] = {QUICKSTART.name: QUICKSTART}
for _preset in (*SEED, *TRIALS, *STEPS, *PUBLISHED):
    PRESETS |= {_preset.name: _preset, f"{_preset.name}-small": make_small(_preset)}
