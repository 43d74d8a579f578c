// The look of every chart: the page's colours and font, and Plotly's toolbar.

const MARKED_POINTS = 60; // more markers merge into a thicker line and draw slowly
export const PLOTLY_CONFIG = {
  displaylogo: false,
  responsive: true,
  showSendToCloud: false, // plotly.js 4 would offer to upload the chart to its maker
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendDataToCloud", "sendChartToCloud", "shareChart"],
};

// Plotly reads text as markup (<b>, <br>, <a href>, &entities;). Names come from people and must show as typed.
export const escapeHtml = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

export function styleTrace(trace, color) {
  const mode = trace.mode && trace.x.length > MARKED_POINTS ? "lines" : trace.mode;
  const stroke = color(`--chart-${trace.meta.role}`);
  const line = { color: stroke, width: trace.meta.role === "planned" ? 1.5 : 2 };
  return { ...trace, mode, line, marker: { color: stroke, size: 5 } };
}

export function baseTheme(color) {
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

export function targetLine(value, color) {
  return {
    type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value,
    line: { color: color("--chart-target"), width: 1, dash: "dash" },
    label: { text: `target ${(value * 100).toFixed(2)} %`, textposition: "start", yanchor: "bottom", font: { size: 11, color: color("--chart-target") } },
  };
}

export function createColorReader() {
  // Plotly reads neither light-dark() nor oklch(): draw one pixel and read it back as sRGB
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const probe = document.body.appendChild(document.createElement("i"));
  const cache = new Map();
  const readColor = (name) => {
    if (!cache.has(name)) {
      document.body.append(probe);
      probe.style.color = `var(${name})`;
      pixel.clearRect(0, 0, 1, 1);
      pixel.fillStyle = getComputedStyle(probe).color;
      pixel.fillRect(0, 0, 1, 1);
      const [r, g, b] = pixel.getImageData(0, 0, 1, 1).data;
      probe.remove();
      cache.set(name, `rgb(${r}, ${g}, ${b})`);
    }
    return cache.get(name);
  };
  probe.remove();
  return readColor;
}
