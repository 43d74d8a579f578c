// Settings and results of several runs: parallel coordinates, and a scatter plot of two of them.

import { PLOTLY_CONFIG, baseTheme, createColorReader, escapeHtml } from "./chart_theme.js";
import { drawChart } from "./load_plotly.js";
import { formatDuration } from "./local_times.js";

const AXIS_PX = 104; // room for the labels of an axis; a narrow page scrolls

const formatValue = (value, unit) =>
  value === null ? "none" : unit === "share" ? `${(value * 100).toFixed(2)} %` : unit === "seconds" ? formatDuration(value) : typeof value === "number" ? Number(value.toPrecision(4)).toString() : escapeHtml(value);

const toCoordinate = (value) => (typeof value === "string" ? escapeHtml(value) : value);

export function drawParallel(place, { axes, parallel, names }) {
  const color = createColorReader();
  const { layout } = baseTheme(color);
  place.style.minInlineSize = `${AXIS_PX * parallel.length}px`;
  const ranks = rankValues(axes.find((axis) => axis.key === "accuracy")?.values ?? []);
  const traces = names.map((name, at) => ({
    type: "scatter", mode: "lines", name: escapeHtml(name),
    x: parallel.map((_, x) => x),
    y: parallel.map((axis) => axis.places[at]),
    connectgaps: false,
    line: { color: color("--chart-validation"), width: 1.5 + 1.5 * (ranks[at] ?? 0.3) },
    opacity: 0.45 + 0.5 * (ranks[at] ?? 0.3),
    text: axes.map((axis) => `${axis.title}: ${formatValue(axis.values[at], axis.unit)}`),
    hovertemplate: "%{text}",
    showlegend: false,
  }));
  const marks = parallel.flatMap((axis, x) =>
    axis.ticks.map(([y, value]) => ({
      x, y, text: formatValue(value, axes[x].unit), showarrow: false, xanchor: "left", xshift: 6,
      font: { size: 11, color: color("--ink") }, bgcolor: color("--surface"), opacity: 0.85,
    })),
  );
  drawChart(place, traces, {
    ...layout, hovermode: "closest", margin: { l: 24, r: 72, t: 12, b: 64 },
    xaxis: { tickvals: parallel.map((_, x) => x), ticktext: parallel.map((axis) => axis.title.replace(/(.{14}\S*) /g, "$1<br>")), showgrid: false, zeroline: false, range: [-0.1, parallel.length - 0.6], fixedrange: true },
    yaxis: { visible: false, range: [-0.08, 1.08], fixedrange: true },
    shapes: parallel.map((_, x) => ({ type: "line", x0: x, x1: x, y0: 0, y1: 1, line: { color: color("--line-strong"), width: 1 }, layer: "below" })),
    annotations: marks,
  }, PLOTLY_CONFIG);
}

export function drawScatter(place, x, y, names) {
  const color = createColorReader();
  const { axis, layout } = baseTheme(color);
  const axisFor = (one) => ({
    ...axis, title: { text: one.unit === "seconds" ? `${one.title} (s)` : one.title, standoff: 8 },
    ...(one.unit === "share" && { tickformat: ".1%" }), ...(one.unit === "word" && { type: "category" }),
  });
  drawChart(place, [{
    type: "scatter", mode: "markers", x: x.values.map(toCoordinate), y: y.values.map(toCoordinate),
    text: names.map((name, at) => `${escapeHtml(name)}<br>${x.title}: ${formatValue(x.values[at], x.unit)}<br>${y.title}: ${formatValue(y.values[at], y.unit)}`),
    hovertemplate: "%{text}<extra></extra>",
    marker: { color: color("--chart-validation"), size: 9, opacity: 0.7 },
  }], { ...layout, hovermode: "closest", showlegend: false, margin: { l: 56, r: 12, t: 8, b: 44 }, xaxis: axisFor(x), yaxis: axisFor(y) }, PLOTLY_CONFIG);
}

// Ranks from 0 (worst) to 1 (best); 0 where there is no value.
function rankValues(values) {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  return values.map((value) => (value === null ? 0 : known.length < 2 ? 1 : known.indexOf(value) / (known.length - 1)));
}
