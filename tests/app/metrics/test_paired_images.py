"""Two models, or two groups, compared on the same images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from app.metrics.paired_images import compare_images, describe_paired, mcnemar_p


def of_table(both: int, only_left: int, only_right: int, neither: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """One run a side, with so many images of each kind."""
    counts = (both, only_left, only_right, neither)
    left, right = (np.repeat(kind, counts) for kind in ([True, True, False, False], [True, False, True, False]))
    return left[None], right[None]


def test_one_run_a_side_is_mcnemar_s_exact_test():
    found = compare_images(*of_table(900, 31, 22, 47))

    assert found.only == (31, 22) and found.runs == (1, 1) and found.images == 1000
    assert found.mcnemar_p == pytest.approx(stats.binomtest(22, 53, 0.5).pvalue)
    assert found.difference == pytest.approx(0.009) and found.accuracy == pytest.approx((0.931, 0.922))
    assert found.on_other_seeds is None
    assert mcnemar_p(0, 0) == 1 and mcnemar_p(6, 0) == 2 * 0.5**6


def test_the_interval_is_that_of_agresti_and_min():
    """Half an image more of each kind; their interval with the quantile of t instead of the normal one."""
    found = compare_images(*of_table(900, 31, 22, 47))
    n, more, less = 1002, 31.5 / 1002, 22.5 / 1002
    half = stats.t.ppf(0.975, n - 1) * np.sqrt((more + less - (more - less) ** 2) / n)
    assert found.on_other_images == pytest.approx((more - less - half, more - less + half))


def test_images_that_are_equally_hard_for_both_make_the_interval_shorter_than_two_accuracies_do():
    low, high = compare_images(*of_table(900, 31, 22, 47)).on_other_images
    assert high - low < 2 * 1.96 * np.sqrt(0.931 * 0.069 / 1000 + 0.922 * 0.078 / 1000) * 0.75


def test_no_difference_on_any_image_is_no_interval_of_zero_width():
    low, high = compare_images(*of_table(300, 0, 0, 0)).on_other_images
    assert low == -high and 0.005 < high < 0.01


def test_two_groups_have_both_intervals():
    generator = np.random.default_rng(0)
    easy = generator.beta(9, 1, 2000)
    left, right = generator.random((5, 2000)) < easy, generator.random((4, 2000)) < easy - 0.02

    found = compare_images(left, right)

    assert found.runs == (5, 4) and found.mcnemar_p is None
    assert found.difference == pytest.approx(left.mean() - right.mean())
    assert found.on_other_seeds is not None and found.on_other_seeds[0] < found.difference < found.on_other_seeds[1]


def test_seeds_that_agree_by_chance_still_have_an_interval():
    left, right = of_table(280, 10, 5, 5)
    found = compare_images(np.repeat(left, 2, axis=0), np.repeat(right, 2, axis=0))
    assert found.on_other_seeds is not None and found.on_other_seeds[1] - found.on_other_seeds[0] > 0.05


def test_the_sentence_says_which_question_each_interval_answers():
    one = describe_paired(compare_images(*of_table(900, 31, 22, 47)), "#1", "#2")
    assert one.startswith("#1 is more accurate than #2 by 0.90 points on these 1,000 images. On other images")
    assert "p = 0.27" in one and one.endswith("a single run on a side cannot say.")
    assert "#2 is more accurate than #1" in describe_paired(compare_images(*of_table(900, 22, 31, 47)), "#1", "#2")
    assert "equally accurate" in describe_paired(compare_images(*of_table(900, 9, 9, 47)), "#1", "#2")
    left, right = of_table(900, 31, 22, 47)
    several = describe_paired(compare_images(np.repeat(left, 2, axis=0), np.repeat(right, 2, axis=0)), "a", "b")
    assert "On these images, other seeds differ by −" in several and "McNemar" not in several


@pytest.mark.parametrize("shapes", [((1, 5), (1, 4)), ((0, 5), (1, 5)), ((1, 0), (1, 0))])
def test_different_images_are_refused(shapes: tuple[tuple[int, int], tuple[int, int]]):
    with pytest.raises(ValueError, match="runs and images"):
        compare_images(*(np.ones(shape, bool) for shape in shapes))


@pytest.mark.parametrize(
    ("images", "only_left", "only_right"),
    [(30, 0.10, 0.02), (300, 0.01, 0.005), (300, 0.05, 0.05), (2000, 0.003, 0.001), (2000, 0.03, 0.02)],
)
def test_the_interval_covers_the_difference_on_all_images_in_at_least_93_of_100_cases(
    images: int, only_left: float, only_right: float
):
    generator, covered = np.random.default_rng(0), 0
    kinds = [0.9 - only_left, only_left, only_right, 0.1 - only_right]
    for counts in generator.multinomial(images, kinds, 1000):
        low, high = compare_images(*of_table(*counts.tolist())).on_other_images
        covered += low <= only_left - only_right <= high
    assert covered / 1000 >= 0.93


def test_the_interval_of_groups_covers_the_difference_on_all_images_too():
    """Each image is of its own difficulty, which the models of both sides share in part."""
    generator, covered = np.random.default_rng(0), 0
    for _ in range(500):
        easy = 0.02 + 0.98 * generator.beta(6, 0.5, 300)
        shift = 0.02 * generator.random(300)  # 0.01 in the mean
        left, right = generator.random((3, 300)) < easy, generator.random((3, 300)) < easy - shift
        low, high = compare_images(left, right).on_other_images
        covered += low <= 0.01 <= high
    assert covered / 500 >= 0.93


@pytest.mark.parametrize("runs", [2, 5])
def test_the_interval_over_seeds_covers_the_difference_of_all_seeds(runs: int):
    """On fixed images; k of 300 right, as coarse as accuracies are."""
    generator, covered = np.random.default_rng(0), 0
    easy, harder = generator.beta(6, 0.5, (2, 300))
    for _ in range(500):
        left, right = generator.random((runs, 300)) < easy, generator.random((runs, 300)) < harder
        interval = compare_images(left, right).on_other_seeds
        assert interval is not None
        covered += interval[0] <= easy.mean() - harder.mean() <= interval[1]
    assert covered / 500 >= 0.93
