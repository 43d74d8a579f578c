"""Processes or a thread prepare the batches: always the bytes of the pipeline, in every epoch."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trainer.augment.pool_processes import know_others, left_of_crews, members
from trainer.augment.loader_pool import CHUNK, MAX_WORKERS, Feed, LoaderPool, count_processes
from trainer.augment.pipeline import Pipeline
from trainer.augment.selections import Selection, list_selections
from trainer.failures import Stopped
from trainer.recipe import Recipe
from trainer.recipe.augmentation import Blur, Cutout, CutoutSquare, Flip, Mixup, PadCrop, Rotate

N = 200


@pytest.fixture(autouse=True)
def others() -> None:
    know_others()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (N, 32, 32, 3), dtype=np.uint8)


def recipe(mixup: Mixup | None = None, **knobs: object) -> Recipe:
    operations = [Rotate(), PadCrop(), Flip(), Blur(), Cutout(), CutoutSquare(size=4)]
    return Recipe.model_validate(
        {"augment": operations, "mixup": mixup, "batch_size": 30, "normalize": "standardised", **knobs}
    )


@pytest.mark.parametrize(
    ("processes", "mixup"),
    [
        (0, None),
        (0, Mixup(pairing="permute", when="before")),
        (0, Mixup(pairing="disjoint", when="after")),
        (1, Mixup(pairing="permute", when="after")),
        (2, Mixup(pairing="disjoint", when="before")),
    ],
    ids=str,
)
def test_any_number_of_processes_prepares_the_bytes_of_the_pipeline(
    images: np.ndarray, processes: int, mixup: Mixup | None
):
    made = recipe(mixup)
    alone = Pipeline(made, images)
    with LoaderPool(made, images, processes) as crew:
        assert len(members()) == processes
        for epoch in (1, 2, 5):
            batches = list_selections(made, N, epoch)
            seen = 0
            with Feed(lambda one: crew.prepare(epoch, one), batches, ahead=crew.ahead) as feed:  # noqa: B023  # used here
                for selection, batch in feed:
                    assert batch.dtype == np.float32
                    np.testing.assert_array_equal(batch, alone.batch(epoch, selection))
                    seen += 1
            assert seen == len(batches)
    assert not left_of_crews()


@pytest.mark.parametrize(
    ("processes", "mixup"),
    [(0, None), (0, Mixup(pairing="disjoint", when="after")), (1, Mixup(pairing="permute", when="after"))],
    ids=str,
)
def test_pictures_changed_once_are_looked_up_and_are_the_pipelines_bytes(
    images: np.ndarray, processes: int, mixup: Mixup | None
):
    made = recipe(mixup, augment_when="once")
    many = np.tile(images, (CHUNK // N + 2, 1, 1, 1))  # more than one piece, so that each must be put in its place
    assert len(many) > CHUNK
    alone = Pipeline(made, many)
    with LoaderPool(made, many, processes) as crew:
        crew.change_once(lambda: False)
        for epoch in (1, 4):
            for selection in [*list_selections(made, len(many), epoch)[:5], Selection(np.arange(len(many))[::7])]:
                ready = crew.prepare(epoch, selection)
                assert ready.done()
                np.testing.assert_array_equal(ready.result(), alone.batch(epoch, selection))
    assert not left_of_crews()


def test_changing_once_ends_when_it_is_asked_to(images: np.ndarray):
    with pytest.raises(Stopped), LoaderPool(recipe(augment_when="once"), images, 0) as crew:
        crew.change_once(lambda: True)
    assert not left_of_crews()


def test_leaving_with_work_under_way_waits_for_no_more_than_what_has_begun(images: np.ndarray):
    for processes in (0, 1):
        with LoaderPool(recipe(), images, processes) as crew:
            under_way = [crew.prepare(epoch, Selection(np.arange(N))) for epoch in range(1, 200)]
        assert all(future.done() for future in under_way)
        assert any(future.cancelled() for future in under_way)
        assert not left_of_crews()


def test_a_thread_serves_few_cores_and_one_core_is_left_to_the_trainer():
    assert [count_processes(cores) for cores in (1, 2, 3, 4, 8, 17, 64)] == [0, 0, 0, 3, 7, 16, MAX_WORKERS]
