// The charts of a run: figures are JSON in the page, epochs arrive as events. Zoom survives new epochs (`uirevision`) and
// a change of theme. All charts share one horizontal axis, and hovering over one shows the same epoch in all. They are
// static SVG at first; on the first interaction or epoch, Plotly draws the visible ones, each in a task of its own.

import { PLOTLY_CONFIG, createColorReader, styleTrace } from "./chart_theme.js";
import { drawChart, isPlotlyLoaded, onFirstChartUse, withPlotly } from "./load_plotly.js";
import { addDerivedValues, chartLayout, fillTrace } from "./run_chart_layout.js";

const PRELOAD_MARGIN = "200px"; // charts this far outside the window are drawn, too

export class RunCharts {
  // `images` that an epoch trains on and its `steps`; 0: not known yet
  constructor(root, figures, rows, { images, steps }) {
    Object.assign(this, { images, steps, by: "epoch", smooth: 0, isLog: false, frame: null });
    this.rows = new Map(rows.map((row) => [row.epoch, row]));
    this.panels = figures.map((figure) => ({
      figure,
      place: root.querySelector(`[data-chart="${figure.name}"] .plot`),
    }));
    this.update();
    this.recordDrawnEpoch();
    this.drawVisibleLater = () => this.drawVisible();
    onFirstChartUse(this.drawVisibleLater);
    const seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        this.panels.find(({ place }) => place.closest("figure") === target).isSeen = isIntersecting;
      }
      this.drawVisible();
    }, { rootMargin: PRELOAD_MARGIN });
    this.panels.forEach(({ place }) => seen.observe(place.closest("figure")));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.update());
    addEventListener("beforeprint", () => this.panels.forEach((panel) => panel.isStale && isPlotlyLoaded() && this.drawPanel(panel)));
  }

  add(row) {
    const known = this.rows.get(row.epoch);
    if (known && known.attempt > row.attempt) return;
    this.rows.set(row.epoch, row);
    this.frame ??= requestAnimationFrame(() => ((this.frame = null), this.show({})));
  }

  show(options) {
    Object.assign(this, options);
    this.update();
    withPlotly(this.drawVisibleLater);
  }

  update() {
    const rows = [...this.rows.values()].sort((a, b) => a.epoch - b.epoch);
    let elapsed = 0;
    for (const row of rows) addDerivedValues(row, (elapsed += row.seconds), this);
    this.sorted = rows;
    for (const panel of this.panels) {
      panel.traces = panel.figure.traces
        .filter((trace) => (trace.meta.by ?? this.by) === this.by)
        .map((trace) => fillTrace(trace, rows, this));
      const isEmpty = panel.traces.every((trace) => trace.y.every((value) => value == null));
      panel.place.closest("figure").hidden = rows.length > 0 && isEmpty;
      panel.isStale = true;
    }
    this.drawVisible();
  }

  async drawVisible() {
    if (this.isDrawing || !isPlotlyLoaded()) return;
    this.isDrawing = true;
    let panel;
    try {
      while ((panel = this.panels.find(({ isStale, isSeen }) => isStale && isSeen))) {
        this.drawPanel(panel);
        await new Promise((done) => setTimeout(done)); // lets clicks and keys through between two charts
      }
    } finally {
      this.isDrawing = false;
    }
    if (this.panels.some(({ isSeen }) => isSeen)) this.recordDrawnEpoch();
  }

  // For tests and benchmarks: the newest epoch on screen.
  recordDrawnEpoch() {
    document.documentElement.dataset.drawnEpoch = this.sorted.at(-1)?.epoch ?? 0;
  }

  drawPanel(panel) {
    const { figure, place, traces } = panel;
    const color = createColorReader();
    panel.isStale = false;
    drawChart(place, traces.map((trace) => styleTrace(trace, color)), chartLayout(figure, this.sorted, this, color), PLOTLY_CONFIG);
    if (!panel.isLinked) this.linkHover(place);
    panel.isLinked = true;
  }

  linkHover(place) {
    place.on?.("plotly_hover", ({ points: [point], event }) => {
      if (!event) return; // triggered by Fx.hover below
      const others = this.panels.filter((panel) => panel.place !== place && panel.isLinked && panel.isSeen);
      for (const { place: other } of others) {
        const curve = other.data.findIndex((trace) => trace.meta.field);
        const at = other.data[curve]?.x.indexOf(point.x) ?? -1;
        if (at >= 0 && other.data[curve].y[at] != null) Plotly.Fx.hover(other, [{ curveNumber: curve, pointNumber: at }]);
      }
    });
    place.on?.("plotly_unhover", ({ event }) => event && this.panels.forEach((panel) => panel.place !== place && panel.isLinked && Plotly.Fx.unhover(panel.place)));
  }
}
