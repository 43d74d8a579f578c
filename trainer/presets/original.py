"""The original experiment as recipes: what its document says, what its notebook ran, and its half cycles.

The document is the experiment's README, the notebook the one whose log ends with 94.10 % after 416 s.
Must not know any ML framework: recipes only.
"""

from __future__ import annotations

from trainer.presets.preset import Preset, varied
from trainer.recipe import Dataset, Recipe
from trainer.recipe.augmentation import Blur, Cutout, Flip, Mixup, PadCrop, Rotate
from trainer.recipe.network import ResNet9
from trainer.recipe.optimizer import SGD, Loss, WeightDecay
from trainer.recipe.schedule import Piecewise, Triangular

BATCH, EPOCHS = 512, 20
TRAIN_IMAGES = 50_000  # of CIFAR-10

# The document's net, rates and optimiser, with nothing done to the pictures: what its trials add to.
BARE = Recipe(
    dataset=Dataset(name="cifar10"),
    model=ResNet9(width=64, dropout=0.1, bn_momentum=0.1, init="keras"),
    schedule=Triangular(base_lr=0.001, max_lr=0.4, step_epochs=4),
    optimizer=SGD(
        momentum=0.9,
        nesterov=True,
        decay=1e-5,
        weight_decay=WeightDecay(kind="l2", value=5e-4, on="conv"),
    ),
    augment=[],
    normalize="0..1",
    last_batch="keep",
    epochs=EPOCHS,
    batch_size=BATCH,
    target_accuracy=0.94,
)

BEFORE_CUTOUT = [Rotate(degrees=15), Flip(p=0.5), PadCrop(pad=4, mode="reflect"), Blur()]
EVERYTHING = [*BEFORE_CUTOUT, Cutout(p=0.5, v_l=0, v_h=1)]
MIXUP = Mixup(alpha=0.2, pairing="disjoint", when="before")

README = varied(BARE, augment=EVERYTHING, mixup=MIXUP)

NOTEBOOK = Recipe(
    dataset=Dataset(name="cifar10"),
    model=ResNet9(width=64, dropout=0, bn_momentum=0.9, init="pytorch", logit_scale=0.125),
    # up to 0.4 in epoch 5 and down to 0, for one picture of a batch: its loss is a sum
    schedule=Piecewise(knots=[[0, 0], [5, 0.4 / BATCH], [EPOCHS, 0]]),
    optimizer=SGD(
        momentum=0.9,
        nesterov=True,
        decay=0,
        weight_decay=WeightDecay(kind="coupled", value=0, on="all"),
    ),
    loss=Loss(reduction="sum"),
    augment=[PadCrop(pad=4, mode="reflect"), Flip(p=0.5)],
    normalize="standardised",
    last_batch="keep",
    epochs=EPOCHS,
    batch_size=BATCH,
    target_accuracy=0.94,
)

SEED = [
    Preset(
        name="seed-readme",
        version=1,
        title="The document's recipe",
        description=(
            "The original experiment as its document tells it: every augmentation, mixup, triangular rates. "
            "It says 93.5 to 93.8 % for them, and 94 % in 3 of 5 runs after moving to other code; in the code that was "
            "published they never ran together. "
            "Mixup of disjoint pairs halves the steps of an epoch, and the 20 epochs end on the way up to another "
            "peak, so do not expect 94 % of it. "
            "Pitwall has not timed it on a GPU."
        ),
        family="seed",
        recipe=README,
    ),
    Preset(
        name="seed-readme-fixed",
        version=1,
        title="The document's recipe, ending low",
        description=(
            "The document's recipe with one knob mended: its one cycle ends at the foot, not near a peak. "
            "Half cycles are 4.9152 epochs of 50,000 pictures, which is 480 of the 960 steps that mixup leaves, as the "
            "recipe check proposes; all else is seed-readme's. "
            "Run both with the same seeds to see what the end of a schedule is worth; nobody has measured it yet."
        ),
        family="seed",
        recipe=varied(README, schedule=Triangular(base_lr=0.001, max_lr=0.4, step_epochs=4.9152)),
    ),
    Preset(
        name="seed-notebook",
        version=1,
        title="What the notebook ran",
        description=(
            "What really ran when 94.10 % in 416 s was printed: crop and flip, no cutout, mixup or weight decay. "
            "The notebook's cutout was traced once, its mixup never called, and its decay added to a local name; the "
            "loss is a sum, so its rates are 0.4 divided by the batch size. "
            "94.10 % was one run that was picked: expect 93.0 to 93.8 % on average, as nearly the same code gave "
            "elsewhere. Pitwall has not timed it on a GPU."
        ),
        family="seed",
        recipe=NOTEBOOK,
    ),
    Preset(
        name="seed-base",
        version=1,
        title="The base code",
        description=(
            "The code that the original experiment was given, no augmentation: 384 s, says its document. "
            "It is the notebook's net, loss and rates on the pictures as they are; the document gives its time on a "
            "GPU that it does not name, and no accuracy. "
            "Expect it to know its training pictures by heart and to stay well below seed-notebook in validation."
        ),
        family="seed",
        recipe=varied(NOTEBOOK, augment=[]),
    ),
    Preset(
        name="seed-base-once",
        version=1,
        title="The base code, changed once",
        description=(
            "Crop and flip done once, ahead of the loop: 20 s less, says the document of the original experiment. "
            "Every epoch then sees the very same pictures, so this saves the time of augmentation together with most "
            "of its use. "
            "The document gives no accuracy; compare it with seed-base and seed-notebook, between which it should lie."
        ),
        family="seed",
        recipe=varied(NOTEBOOK, augment_when="once"),
    ),
]


def _half_cycle(epochs: int) -> Preset:
    """Triangles of so many epochs a side, and where on such a triangle the last of 20 epochs ends."""
    steps = EPOCHS * -(-TRAIN_IMAGES // BATCH)
    at = (steps - 1) / (epochs * TRAIN_IMAGES / BATCH)  # of the last step, in half cycles
    height = abs(at - 2 * round(at / 2))
    if height < 0.05:
        where = "at a foot, where the rate is lowest"
        advice = "A run is judged where it ends, and a foot is the right place: the weights have come to rest."
    elif height > 0.95:
        where = "at a peak, where the rate is highest"
        advice = "A run is judged where it ends, and there the weights move fastest: it may be why 92 % was all."
    else:
        direction = "up" if int(at) % 2 == 0 else "down"
        where = f"on the way {direction}, at {100 * height:.0f} % of the peak's height"
        advice = "A run is judged where it ends: beside one that ends at a foot, what is missing is partly this."
    found = (
        "tried several lengths and found this one the best, with 92 % in 4 of 5 runs"
        if epochs == 4
        else "tried several lengths, found 4 epochs the best, with 92 % in 4 of 5 runs, and gives no figure for this"
    )
    return Preset(
        name=f"seed-step-{epochs}",
        version=1,
        title=f"Half cycles of {epochs} epochs",
        description=(
            f"Triangles with half cycles of {epochs} epochs: the 20 epochs end {where}. "
            f"The document {found}; assumed are its net without augmentation and rates from "
            "0.001 to 0.4. "
            f"{advice}"
        ),
        family="step",
        recipe=varied(BARE, schedule=Triangular(base_lr=0.001, max_lr=0.4, step_epochs=epochs)),
    )


STEPS = [_half_cycle(epochs) for epochs in range(2, 11)]
