// What a chart of a run shows, by its epochs so far and by what somebody chose: the axis, the smoothing, the scale.

import { dressed, target } from "./dress.js";
import { smoothed } from "./smooth.js";

// As app/charts/run_charts.py: _of_device.
export function derive(row, elapsed, { images, steps }) {
  row.elapsed = elapsed;
  row.steps = steps ? row.epoch * steps : null;
  row.images_per_second = images && row.seconds ? images / row.seconds : null;
  row.memory_gib = row.memory_bytes == null ? null : row.memory_bytes / 2 ** 30;
  row.watts = row.energy_wh == null || !row.seconds ? null : (row.energy_wh * 3600) / row.seconds;
}

const ACROSS = { epoch: "epoch", step: "steps", elapsed: "elapsed" };

export function filled(trace, rows, { by, smooth }) {
  const { field } = trace.meta;
  if (!field) return trace;
  const y = rows.map((row) => row[field] ?? null);
  return { ...trace, x: rows.map((row) => row[ACROSS[by]]), y: trace.type === "bar" ? y : smoothed(y, smooth) };
}

export function layout(figure, rows, { by, isLog }, color) {
  const { axis, layout: shared } = dressed(color);
  const isEmpty = rows.length === 0 && !figure.traces.some((trace) => trace.x.length);
  return {
    ...figure.layout,
    ...shared,
    uirevision: by, // zoom and selection stay until the axis means something else
    margin: { l: 48, r: 12, t: 8, b: 40 },
    showlegend: true,
    xaxis: { ...axis, ...(isEmpty && { range: [0, 1], showticklabels: false, showgrid: false }), title: { text: { epoch: "Epoch", step: "Step", elapsed: "Training time (s)" }[by], standoff: 8 }, rangemode: by === "epoch" ? "normal" : "tozero" },
    yaxis: { ...axis, ...figure.layout.yaxis, ...(isLog && figure.name === "loss" && { type: "log" }), ...(isEmpty && { range: [0, 1], showticklabels: false, showgrid: false }) },
    shapes: figure.target && !isEmpty ? [target(figure.target, color)] : [],
    annotations: isEmpty ? [{ text: figure.empty, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }] : [],
  };
}
