// Traces and layout of a run's charts, from its epochs so far and the chosen axis, smoothing and scale.

import { baseTheme, targetLine } from "./chart_theme.js";
import { smoothValues } from "./exponential_smoothing.js";

// As app/charts/run_charts.py: _of_device.
export function addDerivedValues(row, elapsed, { images, steps }) {
  row.elapsed = elapsed;
  row.steps = steps ? row.epoch * steps : null;
  row.images_per_second = images && row.seconds ? images / row.seconds : null;
  row.memory_gib = row.memory_bytes == null ? null : row.memory_bytes / 2 ** 30;
  row.watts = row.energy_wh == null || !row.seconds ? null : (row.energy_wh * 3600) / row.seconds;
}

const X_FIELD = { epoch: "epoch", step: "steps", elapsed: "elapsed" };

export function fillTrace(trace, rows, { by, smooth }) {
  const { field } = trace.meta;
  if (!field) return trace;
  const y = rows.map((row) => row[field] ?? null);
  return { ...trace, x: rows.map((row) => row[X_FIELD[by]]), y: trace.type === "bar" ? y : smoothValues(y, smooth) };
}

export function chartLayout(figure, rows, { by, isLog }, color) {
  const { axis, layout: shared } = baseTheme(color);
  const isEmpty = rows.length === 0 && !figure.traces.some((trace) => trace.x.length);
  return {
    ...figure.layout,
    ...shared,
    uirevision: by, // keeps zoom and selection until the axis changes
    margin: { l: 48, r: 12, t: 8, b: 40 },
    showlegend: true,
    xaxis: { ...axis, ...(isEmpty && { range: [0, 1], showticklabels: false, showgrid: false }), title: { text: { epoch: "Epoch", step: "Step", elapsed: "Training time (s)" }[by], standoff: 8 }, rangemode: by === "epoch" ? "normal" : "tozero" },
    yaxis: { ...axis, ...figure.layout.yaxis, ...(isLog && figure.name === "loss" && { type: "log" }), ...(isEmpty && { range: [0, 1], showticklabels: false, showgrid: false }) },
    shapes: figure.target && !isEmpty ? [targetLine(figure.target, color)] : [],
    annotations: isEmpty ? [{ text: figure.empty, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }] : [],
  };
}
