// What every chart of ours has: the page's colours and type, and Plotly's buttons as we want them.

const MARKED_POINTS = 60; // more dots than that are a thicker line, and slow to draw
export const CONFIG = {
  displaylogo: false,
  responsive: true,
  showSendToCloud: false, // plotly.js 4 would offer to upload the chart to its maker
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendDataToCloud", "sendChartToCloud", "shareChart"],
};

// Plotly takes some text for markup (<b>, <br>, <a href>, &entities;): names are people's own, and drawn as they are.
export const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

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
