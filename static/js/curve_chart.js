// Several curves in one chart, over epochs, steps or training time, with bands. Colours are assigned in a cycle.

import { PLOTLY_CONFIG, baseTheme, createColorReader, escapeHtml, targetLine } from "./chart_theme.js";
import { drawChart } from "./load_plotly.js";
import { smoothValues } from "./exponential_smoothing.js";

const COLORS = 8; // --series-0 to --series-7 in tokens.css
const TICK_EVERY_EPOCH = 16; // up to this many epochs, each has a tick
const MAX_LEGEND = 16; // a longer legend would leave no room for the curves

export function drawCurves(plot, figure, by = "epoch", smooth = 0) {
  const color = createColorReader();
  const { axis: common, layout } = baseTheme(color);
  const axis = { ...common, automargin: false }; // would draw twice, for a margin that these labels never need
  const traces = figure.traces.map((trace) => styleCurve(trace, color, by, smooth));
  const longest = figure.traces.reduce((most, trace) => trace.x.reduce((a, b) => Math.max(a, b), most), 0);
  drawChart(plot, traces, {
    ...layout,
    uirevision: by,
    hovermode: "closest",
    margin: { l: 60, r: 12, t: 8, b: 42 },
    xaxis: { ...axis, ...(by === "epoch" && longest <= TICK_EVERY_EPOCH && { dtick: 1 }), title: { text: { epoch: "Epoch", step: "Step", elapsed: "Training time (s)" }[by], standoff: 8 } },
    showlegend: figure.traces.filter((trace) => !trace.meta.is_band).length <= MAX_LEGEND,
    yaxis: { ...axis, ...(figure.percent && { tickformat: ".1%", hoverformat: ".2%" }) },
    shapes: figure.target ? [targetLine(figure.target, color)] : [],
  }, PLOTLY_CONFIG);
}

function styleCurve(trace, color, by, smooth) {
  const { role, is_band: isBand, elapsed, steps } = trace.meta;
  const own = color(role === "faint" ? "--ink-soft" : role === "validation" ? "--chart-validation" : `--series-${role % COLORS}`);
  const dash = Number(role) >= COLORS ? "dot" : "solid";
  return {
    ...trace,
    name: escapeHtml(trace.name),
    x: by === "elapsed" ? elapsed : by === "step" ? trace.x.map((epoch) => (steps ? epoch * steps : null)) : trace.x,
    y: isBand ? trace.y : smoothValues(trace.y, smooth),
    line: { color: own, dash, width: isBand ? 0 : role === "faint" ? 1 : 2 },
    opacity: role === "faint" ? 0.35 : 1,
    ...(isBand && { fillcolor: own.replace("rgb", "rgba").replace(")", ", 0.16)") }),
    ...(role === "faint" && { showlegend: false }),
  };
}
