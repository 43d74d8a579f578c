"""Charts as a visitor sees them: static, until somebody points at them."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def handled(page: Page, plot: str) -> None:
    """Point at it: Plotly replaces the static chart. `plot`: a selector of one element."""
    expect(page.locator(f"{plot} > .static-chart .drawing")).to_be_visible()
    page.locator(plot).hover()
    expect(page.locator(f"{plot}.js-plotly-plot .plot-container")).to_be_visible()
    expect(page.locator(f"{plot} > .static-chart")).to_have_count(0)
