// The charts of a run: figures come as JSON in the page, epochs arrive as events. Zoom survives both the arrival
// of epochs (`uirevision`) and a change of theme. Colours are the page's own tokens.

const MARKED_POINTS = 60; // more dots than that are a thicker line, and slow to draw
export const CONFIG = {
  displaylogo: false,
  responsive: true,
  showSendToCloud: false, // plotly.js 4 would offer to upload the chart to its maker
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendDataToCloud", "sendChartToCloud", "shareChart"],
};

export class Charts {
  constructor(root, figures, rows) {
    this.rows = new Map(rows.map((row) => [row.epoch, row]));
    this.by = "epoch";
    this.panels = figures.map((figure) => ({
      figure,
      place: root.querySelector(`[data-chart="${figure.name}"] .plot`),
    }));
    this.due = null;
    this.draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  add(row) {
    const known = this.rows.get(row.epoch);
    if (known && known.attempt > row.attempt) return;
    this.rows.set(row.epoch, row);
    this.due ??= requestAnimationFrame(() => ((this.due = null), this.draw()));
  }

  show(by) {
    this.by = by;
    this.draw();
  }

  draw() {
    const rows = [...this.rows.values()].sort((a, b) => a.epoch - b.epoch);
    let elapsed = 0;
    for (const row of rows) row.elapsed = elapsed += row.seconds;
    const color = tokens();
    for (const { figure, place } of this.panels) {
      const traces = figure.traces
        .filter((trace) => (trace.meta.by ?? this.by) === this.by)
        .map((trace) => painted(filled(trace, rows, this.by), color));
      Plotly.react(place, traces, layout(figure, rows, this.by, color), CONFIG);
    }
    const last = rows.at(-1);
    document.documentElement.dataset.drawnEpoch = last?.epoch ?? 0; // for tests and measurements: what is on screen
  }
}

function filled(trace, rows, by) {
  const { field } = trace.meta;
  if (!field) return trace;
  return { ...trace, x: rows.map((row) => (by === "epoch" ? row.epoch : row.elapsed)), y: rows.map((row) => row[field]) };
}

export function painted(trace, color) {
  const mode = trace.mode && trace.x.length > MARKED_POINTS ? "lines" : trace.mode;
  const own = color(`--chart-${trace.meta.role}`);
  const line = { color: own, width: trace.meta.role === "planned" ? 1.5 : 2 };
  return { ...trace, mode, line, marker: { color: own, size: 5 } };
}

// What every chart of ours has, in the page's colours.
export function dressed(color) {
  return {
    axis: { gridcolor: color("--line"), linecolor: color("--line"), zerolinecolor: color("--line"), automargin: true },
    layout: {
      autosize: true,
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: color("--ink-soft") },
      hovermode: "x unified",
      hoverlabel: { namelength: -1, bgcolor: color("--surface"), bordercolor: color("--line"), font: { color: color("--ink") } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", bgcolor: "transparent" },
    },
  };
}

function layout(figure, rows, by, color) {
  const { axis, layout: shared } = dressed(color);
  const isEmpty = rows.length === 0 && !figure.traces.some((trace) => trace.x.length);
  return {
    ...figure.layout,
    ...shared,
    uirevision: by, // zoom and selection stay until the axis means something else
    margin: { l: 48, r: 12, t: 8, b: 40 },
    showlegend: true,
    xaxis: { ...axis, ...(isEmpty && { range: [0, 1], showticklabels: false, showgrid: false }), title: { text: by === "epoch" ? "Epoch" : "Training time (s)", standoff: 8 }, rangemode: by === "epoch" ? "normal" : "tozero" },
    yaxis: { ...axis, ...figure.layout.yaxis, ...(isEmpty && { range: [0, 1], showticklabels: false, showgrid: false }) },
    shapes: figure.target && !isEmpty ? [target(figure.target, color)] : [],
    annotations: isEmpty ? [{ text: "The first point appears when epoch 1 ends", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }] : [],
  };
}

export function target(value, color) {
  return {
    type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value,
    line: { color: color("--chart-target"), width: 1, dash: "dash" },
    label: { text: `target ${(value * 100).toFixed(2)} %`, textposition: "start", yanchor: "bottom", font: { size: 11, color: color("--chart-target") } },
  };
}

export function tokens() {
  // Plotly reads neither light-dark() nor oklch(): let the browser turn a token into sRGB on one pixel
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const probe = document.body.appendChild(document.createElement("i"));
  const known = new Map();
  const read = (name) => {
    if (!known.has(name)) {
      document.body.append(probe);
      probe.style.color = `var(${name})`;
      pixel.clearRect(0, 0, 1, 1);
      pixel.fillStyle = getComputedStyle(probe).color;
      pixel.fillRect(0, 0, 1, 1);
      const [r, g, b] = pixel.getImageData(0, 0, 1, 1).data;
      probe.remove();
      known.set(name, `rgb(${r}, ${g}, ${b})`);
    }
    return known.get(name);
  };
  probe.remove();
  return read;
}
