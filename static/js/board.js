// The board's chart: each recipe a line, each run a dot; published results as dashed lines where they were asked for.
// A changed choice asks at once; without JavaScript the button does.

import { CONFIG, dressed, plain, tokens } from "./dress.js";
import { isHere, react, whenHandled } from "./plotly.js";

const form = document.querySelector("[data-board]");
form?.addEventListener("change", ({ target }) => target.name !== "target" && form.requestSubmit());

const place = document.querySelector("[data-figure]");
if (place) {
  const figure = JSON.parse(place.querySelector("script").textContent);
  const plot = place.querySelector(".plot");
  const draw = () => react(plot, traces(figure), layout(figure), CONFIG);
  whenHandled(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => isHere() && draw());
}

function traces(figure) {
  const color = tokens();
  return figure.traces.map((trace) => {
    const isMean = trace.meta.role === "mean";
    const own = color(`--chart-${trace.meta.role}`);
    return {
      ...trace,
      y: trace.y.map(plain),
      marker: isMean ? { color: own, size: 12, symbol: "line-ns-open", line: { width: 3 } } : { color: own, size: 8, opacity: 0.6 },
      ...(trace.error_x && { error_x: { ...trace.error_x, color: own, thickness: 1.5, width: 4 } }),
    };
  });
}

function layout(figure) {
  const color = tokens();
  const { axis, layout: shared } = dressed(color);
  const { title, tickformat, rangemode } = figure.across;
  const largest = Math.max(...figure.traces.flatMap((trace) => trace.x.map((x, at) => x + (trace.error_x?.array[at] ?? 0))));
  return {
    ...shared,
    hovermode: "closest",
    margin: { l: 12, r: 16, t: 8, b: 44 },
    xaxis: { ...axis, title: { text: title, standoff: 8 }, tickformat, ...(rangemode === "tozero" && { range: [0, 1.08 * largest] }) },
    yaxis: { ...axis, autorange: "reversed", ticks: "", type: "category", categoryarray: figure.names.map(plain) },
    shapes: figure.marks.map((mark) => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: mark.x, x1: mark.x, line: { color: color("--chart-target"), width: 1, dash: "dot" } })),
    annotations: figure.marks.slice(0, 6).map((mark, i) => ({ x: mark.x, yref: "paper", y: 1 - 0.08 * i, text: plain(mark.text), showarrow: false, xanchor: "left", bgcolor: color("--surface"), font: { size: 10, color: color("--chart-target") } })),
  };
}
