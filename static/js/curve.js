// The learning rate of a whole run before it is launched: the rate, and how much it changes per epoch.

import { CONFIG, dressed, painted, tokens } from "./dress.js";
import { react } from "./plotly.js";

const GRID_EPOCHS = 30; // up to so many, every epoch has its line

export function drawCurve(place, figure) {
  const color = tokens();
  const { axis, layout } = dressed(color);
  const text = { size: 11, color: color("--ink") };
  const traces = figure.traces.map((trace) => painted(trace, color));
  traces[1].line.width = 1;
  react(place, traces, {
    ...layout,
    uirevision: figure.epochs, // zoom stays while the run is as long
    margin: { l: 44, r: 44, t: 8, b: 36 },
    xaxis: { ...axis, range: [0, figure.epochs], title: { text: "Epoch", standoff: 6 }, ...(figure.epochs <= GRID_EPOCHS && { dtick: 1 }), tickangle: 0, ...(figure.epochs > 12 && figure.epochs <= GRID_EPOCHS && { ticklabelstep: figure.epochs > 20 ? 4 : 2 }) },
    yaxis: { ...axis, rangemode: "tozero" },
    yaxis2: { ...axis, overlaying: "y", side: "right", showgrid: false, zeroline: false, nticks: 5, tickmode: "auto", tickformat: ".2~g", tickfont: { color: color("--chart-planned") } },
    annotations: figure.marks.map((mark, index) => ({
      x: mark.x, y: mark.y, text: mark.text, showarrow: true, arrowhead: 0, arrowcolor: color("--ink-soft"), font: text,
      ax: index ? -34 : 26, ay: index ? -26 : -10, bgcolor: color("--surface"), borderpad: 2,
    })),
  }, CONFIG);
  place.dataset.drawn = `${figure.epochs} ${figure.marks.map((mark) => mark.text).join(" ")}`; // for tests: what is on screen
}
