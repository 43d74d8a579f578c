// The comparison page: curves in one chart, parallel coordinates, and a scatter plot of any two settings or results.

import { enableLegend } from "./chart_legend.js";
import { drawCurves } from "./curve_chart.js";
import { drawParallel, drawScatter } from "./settings_charts.js";
import { isPlotlyLoaded, onFirstChartUse, withPlotly } from "./load_plotly.js";

const json = (selector) => JSON.parse(document.querySelector(selector).textContent);
const figure = json("[data-figure]");
const plot = document.querySelector("[data-plot]");
const axis = document.querySelector("[data-axis]");
const rangeChoice = document.querySelector("[data-y-range]");
const smoothing = document.querySelector("[data-smoothing]");
const settings = document.querySelector("[data-axes]") ? json("[data-axes]") : null;
const legend = enableLegend(plot, () => isPlotlyLoaded() && draw());
let by = "epoch";
let areSettingsDrawn = false;

for (const form of document.querySelectorAll("[data-auto-submit]")) {
  form.addEventListener("change", ({ target }) => target.name === "field" && form.requestSubmit());
}
axis.hidden = smoothing.hidden = false;
axis.addEventListener("click", ({ target }) => target.dataset.by && withPlotly(() => ((by = target.dataset.by), draw())));
smoothing.addEventListener("input", () => withPlotly(draw));
rangeChoice.addEventListener("change", () => {
  const address = new URL(location);
  address.searchParams.set("y", rangeChoice.value);
  history.replaceState(null, "", address);
  withPlotly(draw);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => isPlotlyLoaded() && drawAll());
onFirstChartUse(draw);
if (settings) {
  const choice = document.querySelector("[data-scatter-choice]");
  choice.hidden = false;
  choice.addEventListener("change", () => withPlotly(drawSettings));
  addEventListener("beforeprint", () => isPlotlyLoaded() && (drawSettings(), drawSelectedScatter())); // or the print style hides them
  const place = document.querySelector("[data-parallel]");
  // far down the page: drawn when scrolled to, so that it does not delay the curves
  new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && !areSettingsDrawn && withPlotly(drawSettings)).observe(place);
}

function drawAll() {
  draw();
  if (areSettingsDrawn) drawSettings();
}

function draw() {
  for (const button of axis.children) button.setAttribute("aria-pressed", button.dataset.by === by);
  const smooth = Number(smoothing.querySelector("input").value);
  const range = figure.y_ranges[rangeChoice.value];
  drawCurves(plot, figure, { by, smooth, range, isLate: rangeChoice.value === "end", isHidden: legend.isHidden });
  legend.connect();
}

function drawSettings() {
  areSettingsDrawn = true;
  drawParallel(document.querySelector("[data-parallel]"), settings);
  setTimeout(drawSelectedScatter); // a task of its own, so that clicks and keys get through
}

function drawSelectedScatter() {
  const selectedAxis = (name) => settings.axes[document.querySelector(`[data-${name}]`).value];
  drawScatter(document.querySelector("[data-scatter]"), selectedAxis("x"), selectedAxis("y"), settings.names);
}
