// The preview of a schedule: the learning rate over all epochs, and its change per epoch.

import { PLOTLY_CONFIG, baseTheme, createColorReader, styleTrace } from "./chart_theme.js";
import { drawChart } from "./load_plotly.js";

const GRID_EPOCHS = 30; // up to this many epochs, each has a grid line

export function drawLearningRate(place, figure) {
  const color = createColorReader();
  const { axis, layout } = baseTheme(color);
  const text = { size: 11, color: color("--ink") };
  const traces = figure.traces.map((trace) => styleTrace(trace, color));
  traces[1].line.width = 1;
  drawChart(place, traces, {
    ...layout,
    uirevision: figure.epochs, // keeps the zoom while the number of epochs is the same
    margin: { l: 44, r: 44, t: 8, b: 36 },
    xaxis: { ...axis, range: [0, figure.epochs], title: { text: "Epoch", standoff: 6 }, ...(figure.epochs <= GRID_EPOCHS && { dtick: 1 }), tickangle: 0, ...(figure.epochs > 12 && figure.epochs <= GRID_EPOCHS && { ticklabelstep: figure.epochs > 20 ? 4 : 2 }) },
    yaxis: { ...axis, rangemode: "tozero" },
    yaxis2: { ...axis, overlaying: "y", side: "right", showgrid: false, zeroline: false, nticks: 5, tickmode: "auto", tickformat: ".2~g", tickfont: { color: color("--chart-planned") } },
    annotations: figure.marks.map((mark, index) => ({
      x: mark.x, y: mark.y, text: mark.text, showarrow: true, arrowhead: 0, arrowcolor: color("--ink-soft"), font: text,
      ax: index ? -34 : 26, ay: index ? -26 : -10, bgcolor: color("--surface"), borderpad: 2,
    })),
  }, PLOTLY_CONFIG);
  place.dataset.drawn = `${figure.epochs} ${figure.marks.map((mark) => mark.text).join(" ")}`; // for tests
}
