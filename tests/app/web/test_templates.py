"""Numbers in words: shares, seconds, figures and times as pages show them."""

from __future__ import annotations

import pytest

from app.web.templates import duration, figure, percent, when
from tests.app.support.cast import NOW, SPACE


@pytest.mark.parametrize(
    ("share", "words"),
    [(None, "–"), (0, "0.00 %"), (0.94123, "94.12 %"), (0.99996, "100.00 %"), (1, "100.00 %"), (0.5, "50.00 %")],
)
def test_a_share_is_shown_in_per_cent(share: float | None, words: str):
    assert percent(share) == words.replace(" ", SPACE)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0, "0.0 s"),
        (4.24, "4.2 s"),
        (59.94, "59.9 s"),
        (60, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (8040, "2 h 14 min"),
        (100 * 3600, "100 h 00 min"),
    ],
)
def test_seconds_are_shown_in_the_two_largest_units(seconds: float | None, words: str):
    assert duration(seconds).replace(SPACE, " ") == words


def test_figures_and_times_are_shown_short():
    assert [figure(value) for value in (None, 0.00012345, 2.0, 123456.0)] == ["–", "0.0001234", "2", "1.235e+05"]
    assert when(None) == "–"
    assert when(NOW) == '<time datetime="2026-03-01T12:00:00+00:00">2026-03-01 12:00 UTC</time>'
