"""David Page's published ResNet9 recipes (github.com/davidcpage/cifar10-fast), and airbench, in units of a mean loss.

Page sums the loss and divides rates by the batch size; a mean with the rates as they are is the same descent.
Must not know any ML framework: recipes only.
"""

from __future__ import annotations

from trainer.presets.preset import Preset, varied
from trainer.recipe import Dataset, Recipe
from trainer.recipe.augmentation import CutoutSquare, Flip, PadCrop
from trainer.recipe.network import Airbench, ResNet9
from trainer.recipe.optimizer import SGD, Ema, Loss, WeightDecay
from trainer.recipe.schedule import Piecewise


def _descent(*, decay: float, momentum: float = 0.9, bias_rate: float = 1) -> SGD:
    """PyTorch's SGD as all of them use it: weight decay is a part of the gradient, of biases too."""
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
    # up in a fifth of the epochs, down to a tenth, which holds for the last two: they feed the average
    schedule=Piecewise(knots=[[0, 0], [13 / 5, 1.0], [11, 0.1], [13, 0.1]]),
    optimizer=_descent(decay=5e-4, bias_rate=64),
    loss=Loss(label_smoothing=0.2),
    ema=Ema(decay=0.99, every=5),
    augment=[PadCrop(pad=4, mode="reflect"), Flip(p=0.5), CutoutSquare(size=5)],
    normalize="standardised",
    last_batch="drop",
    epochs=13,
    batch_size=512,
    target_accuracy=0.94,
)

PAGE = [
    Preset(
        name="page-2018",
        version=1,
        title="Page 2018",
        description=(
            "David Page's DAWNBench entry of 2018, ResNet9 in 24 epochs: 94.08 % is the median of his 50 runs. "
            "35 of the 50 reached 94 %, in 74 s each on a V100 (github.com/davidcpage/cifar10-fast): rates from 0 to "
            "0.4 in epoch 5 and down to 0, crop, flip and a square of 8 pixels cut out. "
            "He computed in half precision, as a GPU does here, too. "
            "Expect 94 % in about seven runs of ten; Pitwall has not timed it on a GPU."
        ),
        family="page",
        recipe=Recipe(
            dataset=Dataset(name="cifar10"),
            model=ResNet9(width=64, dropout=0, bn_momentum=0.9, init="pytorch", logit_scale=0.125),
            schedule=Piecewise(knots=[[0, 0], [5, 0.4], [24, 0]]),
            optimizer=_descent(decay=5e-4),
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
            "David Page's bag of tricks of 2019, 13 epochs: 94.1 % is the mean of his 50 runs. "
            "Whitened patches, CELU, ghost batch norm without a scale, smoothed labels, fast biases and averaged "
            "weights do in 13 epochs what took 24 (bag_of_tricks.ipynb, 33.5 s on a V100). "
            "He validates with each picture mirrored too for his faster runs; his 94.1 % and this recipe do without. "
            "He computed in half precision, as a GPU does here, too; Pitwall has not timed it on one."
        ),
        family="page",
        recipe=TRICKS,
    ),
    Preset(
        name="reliable-94",
        version=1,
        title="Reliable 94 %",
        description=(
            "Page's bag of tricks, validated with each picture's mirror image, too: 94.6 % on average, says Page. "
            "With deviations of about 0.15 points hardly a run in a thousand would miss 94 % then. "
            "It is page-tricks in all else, so what it costs more is a second pass over the validation pictures. "
            "The accuracy without mirror images is shown beside it; Pitwall has not timed it on a GPU."
        ),
        family="page",
        recipe=varied(TRICKS, tta="flip"),
    ),
    Preset(
        name="airbench-like",
        version=1,
        title="Airbench-like",
        description=(
            "The net and the recipe of Keller Jordan's airbench94 in SGD: 94.01 % is the mean of his 1,000 runs. "
            "That is with six views of each validation picture, without them it is 93.2 % (arXiv 2404.00498; 9.9 "
            "epochs, 3.83 s on an A100): whitened patches with both signs, convolutions that begin by passing on, a "
            "lookahead average, flips in turn. "
            "Here it is 10 whole epochs, and rates in units of a mean loss; Pitwall has not timed it on a GPU."
        ),
        family="page",
        recipe=Recipe(
            dataset=Dataset(name="cifar10"),
            model=Airbench(),
            schedule=Piecewise(knots=[[0, 0.3], [2.3, 1.5], [10, 0.105]]),
            optimizer=_descent(momentum=0.85, decay=1.33e-3, bias_rate=64),
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
