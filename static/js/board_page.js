// The leaderboard's chart: one line per recipe, one dot per run, dashed lines for published results if they are shown.
// A changed option submits the form; without JavaScript its button does.

import { PLOTLY_CONFIG, baseTheme, createColorReader, escapeHtml } from "./chart_theme.js";
import { drawChart, isPlotlyLoaded, onFirstChartUse } from "./load_plotly.js";

const form = document.querySelector("[data-board]");
form?.addEventListener("change", ({ target }) => target.name !== "target" && form.requestSubmit());

const place = document.querySelector("[data-figure]");
if (place) {
  const figure = JSON.parse(place.querySelector("script").textContent);
  const plot = place.querySelector(".plot");
  const draw = () => drawChart(plot, styleTraces(figure), chartLayout(figure), PLOTLY_CONFIG);
  onFirstChartUse(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => isPlotlyLoaded() && draw());
}

function styleTraces(figure) {
  const color = createColorReader();
  return figure.traces.map((trace) => {
    const isMean = trace.meta.role === "mean";
    const own = color(`--chart-${trace.meta.role}`);
    return {
      ...trace,
      y: trace.y.map(escapeHtml),
      marker: isMean ? { color: own, size: 12, symbol: "line-ns-open", line: { width: 3 } } : { color: own, size: 8, opacity: 0.6 },
      ...(trace.error_x && { error_x: { ...trace.error_x, color: own, thickness: 1.5, width: 4 } }),
    };
  });
}

function chartLayout(figure) {
  const color = createColorReader();
  const { axis, layout: shared } = baseTheme(color);
  const { title, tickformat, rangemode } = figure.across;
  const largest = Math.max(...figure.traces.flatMap((trace) => trace.x.map((x, at) => x + (trace.error_x?.array[at] ?? 0))));
  return {
    ...shared,
    hovermode: "closest",
    margin: { l: 12, r: 16, t: 8, b: 44 },
    xaxis: { ...axis, title: { text: title, standoff: 8 }, tickformat, ...(rangemode === "tozero" && { range: [0, 1.08 * largest] }) },
    yaxis: { ...axis, autorange: "reversed", ticks: "", type: "category", categoryarray: figure.names.map(escapeHtml) },
    shapes: figure.marks.map((mark) => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: mark.x, x1: mark.x, line: { color: color("--chart-target"), width: 1, dash: "dot" } })),
    annotations: figure.marks.slice(0, 6).map((mark, i) => ({ x: mark.x, yref: "paper", y: 1 - 0.08 * i, text: escapeHtml(mark.text), showarrow: false, xanchor: "left", bgcolor: color("--surface"), font: { size: 10, color: color("--chart-target") } })),
  };
}
