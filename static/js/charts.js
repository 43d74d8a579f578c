// The charts of a run: figures come as JSON in the page, epochs arrive as events. Zoom survives both the arrival
// of epochs (`uirevision`) and a change of theme. All charts have one horizontal axis, and what is pointed at in one is
// shown in all. They come as stills; Plotly draws those that somebody sees, each in a task of its own, when one is
// handled or an epoch comes. Colours are the page's own tokens.

import { CONFIG, painted, tokens } from "./dress.js";
import { isHere, plotly, react, whenHandled } from "./plotly.js";
import { derive, filled, layout } from "./traces.js";

const NEAR = "200px"; // charts so far below the window are drawn already

export class Charts {
  // `images` and `steps`: of an epoch; 0: not known yet
  constructor(root, figures, rows, { images, steps }) {
    Object.assign(this, { images, steps, by: "epoch", smooth: 0, isLog: false, due: null });
    this.rows = new Map(rows.map((row) => [row.epoch, row]));
    this.panels = figures.map((figure) => ({
      figure,
      place: root.querySelector(`[data-chart="${figure.name}"] .plot`),
    }));
    this.draw();
    this.said();
    this.wake = () => this.pump();
    whenHandled(this.wake);
    const seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        this.panels.find(({ place }) => place.closest("figure") === target).isSeen = isIntersecting;
      }
      this.pump();
    }, { rootMargin: NEAR });
    this.panels.forEach(({ place }) => seen.observe(place.closest("figure")));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    addEventListener("beforeprint", () => this.panels.forEach((panel) => panel.isStale && isHere() && this.react(panel)));
  }

  add(row) {
    const known = this.rows.get(row.epoch);
    if (known && known.attempt > row.attempt) return;
    this.rows.set(row.epoch, row);
    this.due ??= requestAnimationFrame(() => ((this.due = null), this.show({})));
  }

  show(how) {
    Object.assign(this, how);
    this.draw();
    plotly(this.wake);
  }

  draw() {
    const rows = [...this.rows.values()].sort((a, b) => a.epoch - b.epoch);
    let elapsed = 0;
    for (const row of rows) derive(row, (elapsed += row.seconds), this);
    this.sorted = rows;
    for (const panel of this.panels) {
      panel.traces = panel.figure.traces
        .filter((trace) => (trace.meta.by ?? this.by) === this.by)
        .map((trace) => filled(trace, rows, this));
      const isEmpty = panel.traces.every((trace) => trace.y.every((value) => value == null));
      panel.place.closest("figure").hidden = rows.length > 0 && isEmpty;
      panel.isStale = true;
    }
    this.pump();
  }

  async pump() {
    if (this.isDrawing || !isHere()) return;
    this.isDrawing = true;
    let panel;
    try {
      while ((panel = this.panels.find(({ isStale, isSeen }) => isStale && isSeen))) {
        this.react(panel);
        await new Promise((done) => setTimeout(done)); // what somebody does meanwhile comes first
      }
    } finally {
      this.isDrawing = false;
    }
    if (this.panels.some(({ isSeen }) => isSeen)) this.said();
  }

  // for tests and measurements: what is on screen
  said() {
    document.documentElement.dataset.drawnEpoch = this.sorted.at(-1)?.epoch ?? 0;
  }

  react(panel) {
    const { figure, place, traces } = panel;
    const color = tokens();
    panel.isStale = false;
    react(place, traces.map((trace) => painted(trace, color)), layout(figure, this.sorted, this, color), CONFIG);
    if (!panel.isLinked) this.link(place);
    panel.isLinked = true;
  }

  link(place) {
    place.on?.("plotly_hover", ({ points: [point], event }) => {
      if (!event) return; // ours, from below
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
