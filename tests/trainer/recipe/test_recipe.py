"""What a recipe refuses, with the path of the knob as its user writes it; and that its defaults are the first net."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer.models.layers import compute_totals
from trainer.models.resnet9 import resnet9
from trainer.recipe import Recipe, recipe_hash
from trainer.recipe.knobs import list_errors
from trainer.recipe.network import ResNet9
from trainer.recipe.schedule import (
    Constant,
    ExpRange,
    OneCycle,
    Piecewise,
    Schedule,
    Sine,
    Slopes,
    StepDecay,
    Triangular,
    Triangular2,
)


def refusals(recipe: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(recipe)
    return list_errors(caught.value)


def piecewise(*knots: Any) -> dict[str, Any]:
    return {"schedule": {"kind": "piecewise", "knots": list(knots)}}


def augmented(*operations: Any) -> dict[str, Any]:
    return {"augment": list(operations)}


FLIP, CUTOUT = {"op": "flip"}, {"op": "cutout"}

BAD: list[tuple[dict[str, Any], str, str]] = [
    # operations: ranges, names
    (augmented(FLIP, FLIP, CUTOUT | {"s_h": 1.5}), "augment.2.s_h", "must be at most 1"),
    (augmented(CUTOUT | {"s_l": 0.3, "s_h": 0.2}), "augment.0.s_h", "must not be below s_l (0.3)"),
    (augmented(FLIP, {"op": "blur", "sigma_l": 1, "sigma_h": 0.5}), "augment.1.sigma_h", "not be below sigma_l (1)"),
    (augmented(FLIP | {"p": 1.01}), "augment.0.p", "must be at most 1"),
    (augmented({"op": "rotate", "degrees": 0}), "augment.0.degrees", "must be above 0"),
    (augmented({"op": "rotate", "mode": "wrap"}), "augment.0.mode", "'reflect', 'constant' or 'edge'"),
    (augmented({"op": "cutout_square", "size": 33}), "augment.0.size", "must be at most 32"),
    (augmented(FLIP, {"op": "sharpen"}), "augment.1", "must be one of 'rotate', 'flip'"),
    (augmented({"p": 0.5}), "augment.0", "must say which kind it is"),
    (augmented(FLIP | {"angle": 3}), "augment.0.angle", "there is no such setting"),
    (augmented(*[FLIP] * 17), "augment", "must have at most 16 entries"),
    # operations: sizes that do not fit each other
    (augmented(FLIP, {"op": "crop", "size": 33}), "augment.1.size", "cannot cut 33 pixels out of an image that is 32"),
    (
        augmented({"op": "pad", "pad": 4}, {"op": "crop", "size": 41}),
        "augment.1.size",
        "an image that is 40 wide here",
    ),
    (augmented({"op": "crop", "size": 28}, FLIP), "augment.0.size", "leaves images of 28 x 28 pixels"),
    (augmented({"op": "pad", "pad": 2}, {"op": "crop", "size": 30}), "augment.1.size", "pad after it, or crop less"),
    (augmented(FLIP, {"op": "pad", "pad": 4}), "augment.1.pad", "leaves images of 40 x 40 pixels"),
    (augmented({"op": "pad", "pad": 4}, CUTOUT), "augment.0.pad", "crop to 32 after it"),
    (
        augmented({"op": "crop", "size": 8}, {"op": "pad", "pad": 8}, {"op": "pad", "pad": 4}),
        "augment.1.pad",
        "mirror 8",
    ),
    (
        augmented({"op": "crop", "size": 9}, {"op": "pad_crop", "pad": 9}),
        "augment.1.pad",
        "cannot mirror 9 pixels of 9",
    ),
    # schedules
    ({"schedule": {"kind": "zigzag"}}, "schedule", "must be one of 'constant', 'triangular'"),
    ({"schedule": {"lr": 0.1}}, "schedule", "must say which kind it is"),
    ({"schedule": {"kind": "sine", "base_lr": 0.5, "max_lr": 0.1}}, "schedule.max_lr", "not be below base_lr (0.5)"),
    ({"schedule": {"kind": "one_cycle", "start_lr": 0.5}}, "schedule.max_lr", "must not be below start_lr (0.5)"),
    ({"schedule": {"kind": "one_cycle", "peak": 1}}, "schedule.peak", "must be below 1"),
    ({"schedule": {"kind": "exp_range", "gamma": 0}}, "schedule.gamma", "must be above 0"),
    ({"schedule": {"kind": "triangular", "step_epochs": 0}}, "schedule.step_epochs", "must be above 0"),
    ({"schedule": {"kind": "constant", "lr": -0.1}}, "schedule.lr", "must be at least 0"),
    (piecewise([0, 0], [5, 0.4], [5, 0.1]), "schedule.knots.2", "must come after the knot at epoch 5"),
    (piecewise([5, 0], [3, 0.4]), "schedule.knots.1", "must come after the knot at epoch 5"),
    (piecewise([0, 0], [1]), "schedule.knots.1", "must have at least 2 entries"),
    (piecewise([0, 0, 0]), "schedule.knots.0", "must have at most 2 entries"),
    (piecewise([0, 0], [1, -0.1]), "schedule.knots.1", "must have a rate between 0 and 100, not -0.1"),
    (piecewise([-1, 0]), "schedule.knots.0", "must lie between epoch 0 and 10000, not at -1"),
    (piecewise([0, "fast"]), "schedule.knots.0.1", "must be a number"),
    (piecewise(), "schedule.knots", "must have at least 1 entries"),
    # mixup
    ({"mixup": {"alpha": 0}}, "mixup.alpha", "must be above 0"),
    ({"mixup": {"pairing": "random"}}, "mixup.pairing", "must be 'disjoint' or 'permute'"),
    ({"mixup": {"when": "before"}, "augment_when": "once"}, "mixup.when", "must be after"),
    # ghost batches
    ({"model": {"ghost_batch": 30}, "batch_size": 100, "last_batch": "drop"}, "model.ghost_batch", "batch_size (100)"),
    ({"model": {"ghost_batch": 25}, "batch_size": 100}, "model.ghost_batch", "needs last_batch drop"),
    (
        {"model": {"ghost_batch": 25}, "batch_size": 100, "mixup": {"pairing": "permute"}},
        "model.ghost_batch",
        "needs last_batch drop",
    ),
    # the rest of the new knobs
    ({"model": {"activation": "gelu"}}, "model.activation", "must be 'relu' or 'celu'"),
    ({"model": {"bn_epsilon": 0}}, "model.bn_epsilon", "must be above 0"),
    ({"loss": {"label_smoothing": 1}}, "loss.label_smoothing", "must be below 1"),
    ({"ema": {"decay": 1}}, "ema.decay", "must be below 1"),
    ({"diverges_at": 0}, "diverges_at", "must be above 0"),
    ({"optimizer": {"bias_rate": 0}}, "optimizer.bias_rate", "must be above 0"),
]


@pytest.mark.parametrize(("recipe", "path", "sentence"), BAD, ids=[f"{path}-{end[:24]}" for _, path, end in BAD])
def test_a_mistake_is_named_once_with_its_path_and_what_would_work(recipe: dict[str, Any], path: str, sentence: str):
    [(where, what)] = refusals(recipe)
    assert where == path
    assert sentence in what


@given(epochs=st.lists(st.integers(0, 100), min_size=2, max_size=6))
def test_the_first_knot_that_does_not_come_after_the_one_before_is_named(epochs: list[int]):
    recipe = piecewise(*([epoch, 0.1] for epoch in epochs))
    wrong = [index for index in range(1, len(epochs)) if epochs[index] <= epochs[index - 1]]
    if wrong:
        [(where, _)] = refusals(recipe)
        assert where == f"schedule.knots.{wrong[0]}"
    else:
        Recipe.model_validate(recipe)


GOOD: list[dict[str, Any]] = [
    augmented({"op": "pad", "pad": 4}, FLIP, {"op": "crop", "size": 32}),
    augmented({"op": "crop", "size": 24}, {"op": "pad", "pad": 4, "mode": "edge"}),
    augmented({"op": "crop", "size": 16}, {"op": "pad", "pad": 8}, CUTOUT, {"op": "rotate"}),
    augmented(
        {"op": "crop", "size": 8},
        {"op": "pad_crop", "pad": 9, "mode": "edge"},
        {"op": "pad", "pad": 12, "mode": "edge"},
    ),
    {"mixup": {"when": "after"}, "augment_when": "once"},
    {"mixup": {"when": "before"}},
    {"model": {"ghost_batch": 25}, "batch_size": 100, "last_batch": "drop"},
    {"model": {"ghost_batch": 25}, "batch_size": 100, "mixup": {}},  # pairs leave the rest out in any case
    piecewise([0, 0]),
]


@pytest.mark.parametrize("recipe", GOOD)
def test_what_fits_together_is_taken(recipe: dict[str, Any]):
    made = Recipe.model_validate(recipe)
    assert Recipe.model_validate_json(made.model_dump_json()) == made


# The complete default recipe as it was before these knobs came.
BEFORE: dict[str, Any] = {
    "dataset": {"name": "digits", "train_limit": None, "val_limit": None, "val_from_train": None},
    "model": {"name": "resnet9", "width": 64, "identity": False, "dropout": 0.1, "bn_momentum": 0.1},
    "schedule": {"kind": "triangular", "base_lr": 0.001, "max_lr": 0.4, "step_epochs": 4},
    "optimizer": {
        "name": "sgd",
        "momentum": 0.9,
        "nesterov": True,
        "decay": 1e-5,
        "weight_decay": {"kind": "l2", "value": 5e-4, "on": "conv"},
    },
    "augment": [
        {"op": "pad_crop", "pad": 4, "mode": "reflect"},
        {"op": "flip", "p": 0.5},
        {
            "op": "cutout",
            "p": 0.5,
            "s_l": 0.02,
            "s_h": 0.4,
            "r_1": 0.3,
            "r_2": 1 / 0.3,
            "v_l": 0,
            "v_h": 1,
            "pixel_level": True,
        },
    ],
    "augment_engine": "imgaug",
    "normalize": "0..1",
    "last_batch": "keep",
    "epochs": 20,
    "batch_size": 512,
    "seed": 0,
    "precision": "float32",
    "backend": "tensorflow",
    "target_accuracy": 0.94,
}


def test_a_recipe_from_before_these_knobs_is_still_the_default_recipe():
    """But for two knobs that are now left to the device, and were what a CPU takes."""
    now = Recipe(augment_engine="imgaug", precision="float32")
    assert Recipe.model_validate(BEFORE) == now
    assert recipe_hash(Recipe.model_validate(BEFORE)) == recipe_hash(now)
    assert (Recipe().augment_engine, Recipe().precision) == ("auto", "auto")


# of the default recipe with each schedule at its defaults, before settings were added to a schedule
HASHES = {
    Constant: "c5af30cb11ddb4dac638e81d7a62464383a1778fdf74c4d5145a582a23ddd909",
    Triangular: "6db391a484d3c50b1870d5bf21f2faf3bc10a85402fb1d75ab3d2980582e0555",
    Triangular2: "3d6e587800c8e9cab45aa8d607ec0c34c2fd6d5485b93adfa4193c2712e33630",
    ExpRange: "54f52962633167a72264431d6031e26e210d3bb955e175bc8716552689345d92",
    Sine: "b6946ae2d3f8c6b3ce03bcbf33e283baca324674b2b04b16d95a32415d983832",
    Piecewise: "803c556cd2ba2053c481b6353eb624a03ec6c9e03632f9ec9f9e57516a15c61c",
    Slopes: "56b5f7e68c7d5707f3ef9d1435beb2529e1fd9df5dd452e9309ee1862f079e04",
    StepDecay: "4f46a12777d5a7eaccc35c9c9710b470692e3d7e94b3837131670476626c6d56",
    OneCycle: "ea82b7862565fd18bc4bae25a438191a25cdc739dce2211632e50153836cc47d",
}


@pytest.mark.parametrize("kind", HASHES)
def test_a_schedule_keeps_its_hash_when_a_setting_is_added_to_it(kind: type[Schedule]):
    assert recipe_hash(Recipe(schedule=kind())) == HASHES[kind]


def test_an_added_setting_counts_once_it_is_changed():
    by_step = Recipe(schedule=Sine(scale_mode="iterations"))
    assert recipe_hash(by_step) not in HASHES.values()
    assert by_step.model_dump()["schedule"]["scale_mode"] == "iterations"
    stored_before = Recipe(schedule=Sine()).model_dump(mode="json")
    del stored_before["schedule"]["scale_mode"]
    assert Recipe.model_validate(stored_before) == Recipe(schedule=Sine())


def test_knobs_added_since_do_nothing_by_default():
    made = Recipe().model_dump()
    added = {
        (part, name): value
        for part in ("model", "optimizer")
        for name, value in made[part].items()
        if name not in BEFORE[part]
    } | {(name,): value for name, value in made.items() if name not in BEFORE}
    assert added == {
        ("model", "bn_epsilon"): 1e-5,
        ("model", "bn_scale"): "trained",
        ("model", "ghost_batch"): None,
        ("model", "activation"): "relu",
        ("model", "celu_alpha"): 0.3,  # of no effect with relu
        ("model", "pool"): "after",
        ("model", "whiten"): False,
        ("model", "init"): "keras",
        ("model", "logit_scale"): 1.0,
        ("optimizer", "bias_rate"): 1.0,
        ("loss",): {"label_smoothing": 0.0, "reduction": "mean"},
        ("ema",): None,
        ("mixup",): None,
        ("augment_when",): "each_epoch",
        ("diverges_at",): 1000.0,
        ("tta",): "none",
    }


def test_the_default_net_is_the_originals_layer_by_layer():
    """Names, order and output channels of the `resnet_small` that the original experiment printed."""
    published = """model_input:3 Conv1:64 Bn1:64 relu1:64
        Conv2:128 Bn2:128 relu2:128 pool1:128
        Conv3:128 Bn3:128 relu3:128 dropout1:128 Conv4:128 Bn4:128 relu4:128 add1:128
        Conv5:256 Bn5:256 relu5:256 pool2:256
        Conv6:512 Bn6:512 relu6:512 pool3:512
        Conv7:512 Bn7:512 relu7:512 dropout2:512 Conv8:512 Bn8:512 relu8:512 add2:512
        pool4:512 flatten:512 dense:10"""
    layers = resnet9(ResNet9(), 10)
    assert [f"{layer.name}:{layer.shape[-1]}" for layer in layers] == published.split()
    assert (compute_totals(layers).parameters, compute_totals(layers).trainable) == (6_577_600, 6_573_120)
    assert [layer.inputs for layer in layers if layer.kind == "add"] == [("pool1", "relu4"), ("pool3", "relu8")]
