// Several curves in one plot, by epoch, step or training time, with bands. Colours are the page's tokens, in turn.

import { CONFIG, dressed, plain, target, tokens } from "./dress.js";
import { react } from "./plotly.js";
import { smoothed } from "./smooth.js";

const TURNS = 8; // colours in turn: tokens.css

const EACH_EPOCH = 16; // up to so many epochs each has its tick
const NAMED = 16; // more names than that would leave no room for the curves

export function drawCurves(plot, figure, by = "epoch", smooth = 0) {
  const color = tokens();
  const { axis: common, layout } = dressed(color);
  const axis = { ...common, automargin: false }; // a second drawing, for a margin that these labels never need
  const traces = figure.traces.map((trace) => dressedTrace(trace, color, by, smooth));
  const longest = figure.traces.reduce((most, trace) => trace.x.reduce((a, b) => Math.max(a, b), most), 0);
  react(plot, traces, {
    ...layout,
    uirevision: by,
    hovermode: "closest",
    margin: { l: 60, r: 12, t: 8, b: 42 },
    xaxis: { ...axis, ...(by === "epoch" && longest <= EACH_EPOCH && { dtick: 1 }), title: { text: { epoch: "Epoch", step: "Step", elapsed: "Training time (s)" }[by], standoff: 8 } },
    showlegend: figure.traces.filter((trace) => !trace.meta.is_band).length <= NAMED,
    yaxis: { ...axis, ...(figure.percent && { tickformat: ".1%", hoverformat: ".2%" }) },
    shapes: figure.target ? [target(figure.target, color)] : [],
  }, CONFIG);
}

function dressedTrace(trace, color, by, smooth) {
  const { role, is_band: isBand, elapsed, steps } = trace.meta;
  const own = color(role === "faint" ? "--ink-soft" : role === "validation" ? "--chart-validation" : `--turn-${role % TURNS}`);
  const dash = Number(role) >= TURNS ? "dot" : "solid";
  return {
    ...trace,
    name: plain(trace.name),
    x: by === "elapsed" ? elapsed : by === "step" ? trace.x.map((epoch) => (steps ? epoch * steps : null)) : trace.x,
    y: isBand ? trace.y : smoothed(trace.y, smooth),
    line: { color: own, dash, width: isBand ? 0 : role === "faint" ? 1 : 2 },
    opacity: role === "faint" ? 0.35 : 1,
    ...(isBand && { fillcolor: own.replace("rgb", "rgba").replace(")", ", 0.16)") }),
    ...(role === "faint" && { showlegend: false }),
  };
}
