// Several curves in one chart, over epochs, steps or training time, with bands. `meta.token` names a curve's colour; its
// dash and marker are in the trace.

import { PLOTLY_CONFIG, baseTheme, createColorReader, escapeHtml, targetLine } from "./chart_theme.js";
import { uidOf } from "./chart_legend.js";
import { drawChart } from "./load_plotly.js";
import { smoothValues } from "./exponential_smoothing.js";

const LATE = 2 / 3; // of a curve; after it comes the last third. As in app/compare/charts.py
const TICK_EVERY_EPOCH = 16; // up to this many epochs, each has a tick

// `range`: the lowest and highest value to show; by default all. `isLate`: show the last third only. `isHidden`: whether
// a trace is left out.
export function drawCurves(plot, figure, { by = "epoch", smooth = 0, range = null, isLate = false, isHidden = () => false } = {}) {
  const color = createColorReader();
  const { axis: common, layout } = baseTheme(color);
  const axis = { ...common, automargin: false }; // would draw twice, for a margin that these labels never need
  const traces = figure.traces.map((trace) => ({ ...styleCurve(trace, color, by, smooth), visible: !isHidden(trace) }));
  const longest = Math.max(...figure.traces.map((trace) => largest(trace.x)));
  const ends = traces.map((trace) => largest(trace.x));
  return drawChart(plot, traces, {
    ...layout,
    uirevision: `${by} ${range}`,
    hovermode: "closest",
    margin: { l: 60, r: 12, t: 8, b: 42 },
    xaxis: { ...axis, ...(by === "epoch" && longest <= TICK_EVERY_EPOCH && { dtick: 1 }), ...(isLate && { range: [LATE * Math.min(...ends), Math.max(...ends)] }), title: { text: { epoch: "Epoch", step: "Step", elapsed: "Training time (s)" }[by], standoff: 8 } },
    showlegend: figure.has_legend ?? true,
    yaxis: { ...axis, ...(figure.percent && { tickformat: ".1%", hoverformat: ".2%" }), ...(range && { range: [...range] }) },
    shapes: figure.target ? [targetLine(figure.target, color)] : [],
  }, PLOTLY_CONFIG);
}

const largest = (numbers) => numbers.reduce((a, b) => Math.max(a, b), 0);

function styleCurve(trace, color, by, smooth) {
  const { role, token, is_band: isBand, elapsed, steps } = trace.meta;
  const own = color(role === "faint" ? "--ink-soft" : token);
  return {
    ...trace,
    name: escapeHtml(trace.name),
    x: by === "elapsed" ? elapsed : by === "step" ? trace.x.map((epoch) => (steps ? epoch * steps : null)) : trace.x,
    y: isBand ? trace.y : smoothValues(trace.y, smooth),
    uid: role === "faint" ? undefined : uidOf(trace),
    line: { ...trace.line, color: own, width: isBand ? 0 : role === "faint" ? 1 : 2 },
    ...(trace.marker && { marker: { ...trace.marker, color: own } }),
    opacity: role === "faint" ? 0.35 : 1,
    ...(isBand && { fillcolor: own.replace("rgb", "rgba").replace(")", ", 0.16)") }),
    ...(role === "faint" && { showlegend: false }),
  };
}
