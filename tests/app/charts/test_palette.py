"""Lines are told apart by everybody, on either background, and a colour belongs to a recipe."""

from __future__ import annotations

import hashlib
import random
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.charts.palette import COLORS, LOOKS, choose_looks, color_of_recipe, color_tokens
from app.web.assets import stylesheet

CSS = Path(__file__).parents[3] / "static" / "css"
Floats = NDArray[np.float64]
# Linear sRGB as seen without one kind of cone: Machado, Oliveira and Fernandes, A Physiologically-based Model for
# Simulation of Color Vision Deficiency, 2009, at severity 1.0.
VISION = {
    "full colour vision": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# Oklab (Ottosson 2020): linear sRGB to cones, their cube roots to lightness and two axes of colour.
TO_CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip
FAR_ENOUGH = 0.085  # in Oklab; 0.02 is about the least difference that can be seen
CONTRAST = 3.0  # WCAG 2.2, 1.4.11: of what is needed to understand a graphic


def linear(color: str) -> Floats:
    channels = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def oklab(rgb: Floats) -> Floats:
    return np.asarray(TO_LAB @ np.cbrt(TO_CONES @ rgb.clip(0, 1)))


def of_oklch(lightness: float, chroma: float, hue: float) -> Floats:
    """Linear sRGB of a CSS oklch()."""
    lab = np.array([lightness, chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))])
    return np.asarray(np.linalg.inv(TO_CONES) @ (np.linalg.inv(TO_LAB) @ lab) ** 3)


def backgrounds(theme: int) -> list[Floats]:
    """Of the page and of what lies on it, as tokens.css has them; `theme`: 0 light, 1 dark."""
    text = (CSS / "tokens.css").read_text()
    found = []
    for name in ("ground", "surface"):
        pair = re.findall(r"oklch\(([\d.]+)% ([\d.]+) (\d+)\)", text.split(f"--{name}: ")[1].split(";")[0])
        lightness, chroma, hue = map(float, pair[theme])
        found.append(of_oklch(lightness / 100, chroma, hue))
    return found


def contrast(one: Floats, other: Floats) -> float:
    """WCAG's ratio of relative luminances."""
    dark, light = sorted(float(rgb @ [0.2126, 0.7152, 0.0722]) for rgb in (one, other))
    return (light + 0.05) / (dark + 0.05)


def recipe(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_the_measures_agree_with_known_values() -> None:
    assert contrast(linear("#000000"), linear("#FFFFFF")) == pytest.approx(21)
    assert contrast(linear("#777777"), linear("#FFFFFF")) == pytest.approx(4.48, abs=0.01)
    assert oklab(linear("#FFFFFF")) == pytest.approx([1, 0, 0], abs=1e-4)
    assert oklab(linear("#FF0000")) == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_any_two_colours_are_told_apart(theme: int, vision: str) -> None:
    seen = [oklab(VISION[vision] @ linear(color[theme])) for color in COLORS]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > FAR_ENOUGH


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_colour_stands_out_from_the_page(theme: int) -> None:
    for color in COLORS:
        for ground in backgrounds(theme):
            assert contrast(linear(color[theme]), ground) >= CONTRAST, color[theme]


def test_a_palette_that_is_not_safe_would_be_noticed() -> None:
    """Matplotlib's green and red, for somebody without the cones for green."""
    green, red = (oklab(VISION["deuteranopia"] @ linear(color)) for color in ("#2ca02c", "#d62728"))
    assert np.linalg.norm(green - red) < FAR_ENOUGH


def test_pages_get_the_colours_from_the_palette_alone() -> None:
    assert color_tokens() in stylesheet()
    for path in CSS.glob("*.css"):
        assert not re.search(r"--series-\d+:", path.read_text()), path.name


def test_a_hundred_lines_look_different_each() -> None:
    assert len(set(choose_looks([(recipe(at), at) for at in range(100)]))) == 100
    assert len(set(choose_looks([(recipe(0), at) for at in range(100)]))) == 100, "of one recipe too"
    assert len(choose_looks([(recipe(at), at) for at in range(len(LOOKS) + 5)])) == len(LOOKS) + 5


def test_every_colour_is_used_before_the_first_dash() -> None:
    looks = choose_looks([(recipe(at), at) for at in range(len(COLORS) + 1)])
    assert sorted(look.dash for look in looks) == [0] * len(COLORS) + [1]


def test_a_recipe_alone_has_its_own_colour() -> None:
    for number in range(20):
        assert [look.color for look in choose_looks([(recipe(number), 5)])] == [color_of_recipe(recipe(number))]


def test_neither_the_order_nor_a_newer_recipe_changes_a_look() -> None:
    lines = [(recipe(at), at) for at in range(30)]
    before = dict(zip(lines, choose_looks(lines), strict=True))
    shuffled = random.Random(5).sample(lines, len(lines))
    assert dict(zip(shuffled, choose_looks(shuffled), strict=True)) == before
    more = [(recipe(99), 99), *lines]
    assert dict(zip(more, choose_looks(more), strict=True)).items() >= before.items()


def test_seeds_of_a_recipe_share_its_colour() -> None:
    one, other, seed = choose_looks([(recipe(0), 1), (recipe(1), 2), (recipe(0), 3)])
    assert seed.color == one.color != other.color
    assert seed.dash != one.dash
