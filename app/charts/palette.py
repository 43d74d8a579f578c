"""How the lines of overlaid recipes look: a colour, a dash and a marker each. The only definition of these colours.

The colours are Paul Tol's qualitative scheme "muted" (Colour Schemes, SRON/EPS/TN/09-002, issue 3.2, 2021), made to be
told apart by colour-blind people, and black. Of the scheme, each theme has those with a contrast of at least 3:1 to its
background; tests/app/charts/test_palette.py measures both. Beyond six recipes the dash differs, beyond 36 the marker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# (light theme, dark theme). Paper is light.
COLORS = (
    ("#332288", "#88CCEE"),  # indigo, cyan
    ("#CC6677", "#DDCC77"),  # rose, sand
    ("#117733", "#117733"),  # green
    ("#882255", "#999933"),  # wine, olive
    ("#AA4499", "#AA4499"),  # purple
    ("#000000", "#44AA99"),  # black, teal
)
DASHES = ("", "8 3", "2 3", "12 3 2 3", "16 5", "8 3 2 3 2 3")  # px of line and gap, in turn; "" is solid
MARKERS = ("", "circle", "square")  # "" is none
MAX_MARKERS = 12  # of one line; at each point they would merge


@dataclass(frozen=True)
class Look:
    """Places in COLORS, DASHES and MARKERS."""

    color: int
    dash: int = 0
    marker: int = 0

    @property
    def token(self) -> str:
        """The CSS variable of the colour, light or dark with the theme."""
        return f"--series-{self.color}"

    @property
    def on_paper(self) -> str:
        return COLORS[self.color][0]


# In the order in which a view hands them out: every colour with a solid line comes before the first dash.
LOOKS = tuple(
    Look(color, dash, marker)
    for marker in range(len(MARKERS))
    for dash in range(len(DASHES))
    for color in range(len(COLORS))
)


def color_of_recipe(recipe_hash: str) -> int:
    """The colour that a recipe has wherever no older recipe of the same view has it."""
    return int(recipe_hash[:8], 16) % len(COLORS)


def choose_looks(lines: Sequence[tuple[str, int]]) -> list[Look]:
    """A look for each (recipe hash, its oldest run in this view), no two the same up to len(LOOKS) lines.

    A recipe gets its own colour, or the next one that is free. Older recipes choose first: neither the order of the
    lines nor a newer recipe changes a look. Further lines of a recipe (single seeds, other hardware) have its colour
    and another dash or marker.
    """
    free = dict.fromkeys(LOOKS)
    chosen: dict[int, Look] = {}
    first: dict[str, Look] = {}
    by_age = sorted(range(len(lines)), key=lambda at: (lines[at][1], lines[at][0]))
    for at in by_age:
        recipe = lines[at][0]
        if recipe not in first:
            first[recipe] = chosen[at] = _take(free, color_of_recipe(recipe), has_any_color=True)
    for at in by_age:
        if at not in chosen:
            chosen[at] = _take(free, first[lines[at][0]].color, has_any_color=False)
    return [chosen[at] for at in range(len(lines))]


def color_tokens() -> str:
    """CSS of the colours as variables, one for both themes."""
    values = (f"--series-{at}: light-dark({light}, {dark});" for at, (light, dark) in enumerate(COLORS))
    return f":root {{ {' '.join(values)} }}\n"


def _take(free: dict[Look, None], color: int, *, has_any_color: bool) -> Look:
    """Prefer `color` within the first dash and marker that have a free look (`has_any_color`), or else at any dash."""
    if not free:
        return Look(color)
    plainest = next(iter(free))
    alike = [look for look in free if (look.dash, look.marker) == (plainest.dash, plainest.marker)]
    wanted = alike if has_any_color else [look for look in free if look.color == color] or alike
    distance = [(look.color - color) % len(COLORS) for look in wanted]
    look = wanted[distance.index(min(distance))]
    del free[look]
    return look
