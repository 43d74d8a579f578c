// Charts arrive as static SVG (app/charts/svg.py). Plotly, which takes a browser a quarter of a second, is loaded when
// somebody uses a chart or new data has to be drawn, and replaces the static chart.

const CHARTS = ".chart, [data-chart-tools], [data-axis], [data-smoothing]";
const RETRY_MS = 5000; // the app may be restarting

const pending = new Set();
let script = null;

export const isPlotlyLoaded = () => "Plotly" in globalThis;

// Runs `draw` when Plotly is loaded: once, however often it is passed in the meantime.
export function withPlotly(draw) {
  if (isPlotlyLoaded()) return draw();
  pending.add(draw);
  load();
}

function load() {
  if (script) return;
  script = document.createElement("script");
  script.src = document.querySelector("[data-plotly]").href;
  script.addEventListener("load", () => {
    const draws = [...pending];
    pending.clear();
    draws.forEach((draw) => draw());
  });
  script.addEventListener("error", () => {
    script.remove();
    setTimeout(() => ((script = null), pending.size && load()), RETRY_MS);
  });
  document.head.append(script);
}

// Runs `draw` when somebody points at, touches or tabs to a chart or its tools for the first time.
export function onFirstChartUse(draw) {
  const listeners = new AbortController();
  const onUse = ({ target }) => {
    if (!target.closest?.(CHARTS)) return;
    listeners.abort();
    withPlotly(draw);
  };
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, onUse, { signal: listeners.signal });
  const pointed = document.querySelector(`:is(${CHARTS}):hover`); // before this script ran
  if (pointed) onUse({ target: pointed });
}

export function drawChart(place, ...figure) {
  const hadFocus = document.activeElement === place;
  place.querySelector(":scope > .static-chart")?.remove();
  place.removeAttribute("tabindex"); // Plotly's buttons take the focus instead
  const drawn = Plotly.react(place, ...figure);
  if (hadFocus) place.querySelector(".modebar-btn")?.focus();
  return drawn;
}
