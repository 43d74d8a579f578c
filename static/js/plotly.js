// Charts come as stills (app/charts/svg.py). Plotly, for which a browser needs a quarter of a second, is loaded when somebody
// handles a chart or something new has to be drawn, and draws in the still's place.

const CHARTS = ".chart, [data-chart-tools], [data-axis], [data-smoothing]";
const AGAIN_MS = 5000; // after it did not come: the app restarts

const waiting = new Set();
let script = null;

export const isHere = () => "Plotly" in globalThis;

// Runs `draw` once Plotly is here, once however often it is asked meanwhile.
export function plotly(draw) {
  if (isHere()) return draw();
  waiting.add(draw);
  load();
}

function load() {
  if (script) return;
  script = document.createElement("script");
  script.src = document.querySelector("[data-plotly]").href;
  script.addEventListener("load", () => {
    const due = [...waiting];
    waiting.clear();
    due.forEach((draw) => draw());
  });
  script.addEventListener("error", () => {
    script.remove();
    setTimeout(() => ((script = null), waiting.size && load()), AGAIN_MS);
  });
  document.head.append(script);
}

// From the moment that somebody points at, touches or tabs to a chart or its tools.
export function whenHandled(draw) {
  const until = new AbortController();
  const wake = ({ target }) => {
    if (!target.closest?.(CHARTS)) return;
    until.abort();
    plotly(draw);
  };
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, wake, { signal: until.signal });
  const pointed = document.querySelector(`:is(${CHARTS}):hover`); // before this script was there
  if (pointed) wake({ target: pointed });
}

export function react(place, ...figure) {
  const hadFocus = document.activeElement === place;
  place.querySelector(":scope > .still")?.remove();
  place.removeAttribute("tabindex"); // Plotly's own buttons are there to tab to
  const drawn = Plotly.react(place, ...figure);
  if (hadFocus) place.querySelector(".modebar-btn")?.focus();
  return drawn;
}
