"""David Page's published ResNet9 recipes (github.com/davidcpage/cifar10-fast) and airbench, for a mean loss.

Page sums the loss and divides learning rates by the batch size, which is equivalent to a mean with undivided rates.
"""

from __future__ import annotations

from trainer.presets.preset import Preset, with_parts
from trainer.recipe import Dataset, Recipe
from trainer.recipe.augmentation import CutoutSquare, Flip, PadCrop
from trainer.recipe.network import Airbench, ResNet9
from trainer.recipe.optimizer import SGD, Ema, Loss, WeightDecay
from trainer.recipe.schedule import Piecewise


def _sgd(*, decay: float, momentum: float = 0.9, bias_rate: float = 1) -> SGD:
    """PyTorch's SGD as used by all of them: weight decay is added to the gradient, also of biases."""
    coupled = WeightDecay(kind="coupled", value=decay, on="all")
    return SGD(momentum=momentum, nesterov=True, decay=0, bias_rate=bias_rate, weight_decay=coupled)


TRICKS = Recipe(
    dataset=Dataset(name="cifar10"),
    model=ResNet9(
        width=64,
        dropout=0,
        bn_momentum=0.9,
        bn_scale="frozen",
        ghost_batch=32,
        activation="celu",
        celu_alpha=0.3,
        pool="before",
        whiten=True,
        init="pytorch",
        logit_scale=1 / 16,
    ),
    # up for a fifth of the epochs, then down to a tenth, held for the last two epochs for the weight average
    schedule=Piecewise(knots=[[0, 0], [13 / 5, 1.0], [11, 0.1], [13, 0.1]]),
    optimizer=_sgd(decay=5e-4, bias_rate=64),
    loss=Loss(label_smoothing=0.2),
    ema=Ema(decay=0.99, every=5),
    augment=[PadCrop(pad=4, mode="reflect"), Flip(p=0.5), CutoutSquare(size=5)],
    normalize="standardised",
    last_batch="drop",
    epochs=13,
    batch_size=512,
    target_accuracy=0.94,
)

PUBLISHED = [
    Preset(
        name="page-2018",
        version=1,
        title="Page 2018",
        description=(
            "David Page's DAWNBench entry of 2018, ResNet9 in 24 epochs: median 94.08 % over 50 runs. "
            "35 of the 50 reached 94 %, in 74 s each on a V100 (github.com/davidcpage/cifar10-fast); the learning rate "
            "rises to 0.4 in epoch 5 and falls to 0, with crop, flip and a cutout of 8 x 8 pixels. "
            "He used half precision, as Pitwall does on a GPU. "
            "Expect 94 % in about seven of ten runs; not timed on a GPU by Pitwall."
        ),
        family="page",
        recipe=Recipe(
            dataset=Dataset(name="cifar10"),
            model=ResNet9(width=64, dropout=0, bn_momentum=0.9, init="pytorch", logit_scale=0.125),
            schedule=Piecewise(knots=[[0, 0], [5, 0.4], [24, 0]]),
            optimizer=_sgd(decay=5e-4),
            augment=[PadCrop(pad=4, mode="reflect"), Flip(p=0.5), CutoutSquare(size=8)],
            normalize="standardised",
            last_batch="drop",
            epochs=24,
            batch_size=512,
            target_accuracy=0.94,
        ),
    ),
    Preset(
        name="page-tricks",
        version=1,
        title="Page's bag of tricks",
        description=(
            "David Page's bag of tricks of 2019, 13 epochs: mean 94.1 % over 50 runs. "
            "Whitening, CELU, ghost batch norm with frozen scale, label smoothing, a higher bias learning rate and "
            "weight averaging achieve in 13 epochs what took 24 (bag_of_tricks.ipynb, 33.5 s on a V100). "
            "His faster runs use test-time augmentation; his 94.1 % and this recipe do not. "
            "He used half precision, as Pitwall does on a GPU; not timed on a GPU by Pitwall."
        ),
        family="page",
        recipe=TRICKS,
    ),
    Preset(
        name="reliable-94",
        version=1,
        title="Reliable 94 %",
        description=(
            "Page's bag of tricks with flip test-time augmentation: 94.6 % on average according to Page. "
            "With a standard deviation of about 0.15 points, fewer than one run in a thousand would miss 94 %. "
            "Everything else is as in page-tricks; the extra cost is a second pass over the validation images. "
            "The accuracy without TTA is also shown; not timed on a GPU by Pitwall."
        ),
        family="page",
        recipe=with_parts(TRICKS, tta="flip"),
    ),
    Preset(
        name="airbench-like",
        version=1,
        title="Airbench-like",
        description=(
            "Model and recipe of Keller Jordan's airbench94 with SGD: mean 94.01 % over 1,000 runs. "
            "That is with six-view test-time augmentation; without, it is 93.2 % (arXiv 2404.00498; 9.9 epochs, 3.83 s "
            "on an A100). "
            "It uses whitening filters of both signs, identity initialisation of convolutions, a lookahead average and "
            "alternating flips. "
            "Here it runs for 10 full epochs with learning rates for a mean loss; not timed on a GPU by Pitwall."
        ),
        family="page",
        recipe=Recipe(
            dataset=Dataset(name="cifar10"),
            model=Airbench(),
            schedule=Piecewise(knots=[[0, 0.3], [2.3, 1.5], [10, 0.105]]),
            optimizer=_sgd(momentum=0.85, decay=1.33e-3, bias_rate=64),
            loss=Loss(label_smoothing=0.2),
            ema=Ema(decay=0.95, every=5, rise=3, put_back=True),
            augment=[PadCrop(pad=2, mode="reflect"), Flip(p=0.5, alternate=True)],
            normalize="standardised",
            last_batch="drop",
            tta="six",
            epochs=10,
            batch_size=1024,
            target_accuracy=0.94,
        ),
    ),
]
