// Charts come as stills (app/still.py). Plotly, which a browser reads for a quarter of a second, is read when somebody
// handles a chart or when one has to move, and draws in the still's place.

const CHARTS = ".chart, [data-chart-tools], [data-axis], [data-smoothing]";

let reading = null;

export const isHere = () => "Plotly" in globalThis;

export function plotly() {
  return (reading ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = document.querySelector("[data-plotly]").href;
    script.addEventListener("load", done);
    script.addEventListener("error", () => ((reading = null), failed(new Error("Plotly did not come"))));
    document.head.append(script);
  }));
}

// `draw` once Plotly is here, from the moment that somebody points at, touches or tabs into a chart or its tools.
export function whenHandled(draw) {
  const until = new AbortController();
  const wake = async ({ target }) => {
    if (!target.closest?.(CHARTS)) return;
    await plotly(); // where it did not come, the still stays, and the next touch tries again
    if (until.signal.aborted) return;
    until.abort();
    draw();
  };
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, wake, { signal: until.signal });
  const pointed = document.querySelector(`:is(${CHARTS}):hover`); // before this script was there
  if (pointed) wake({ target: pointed });
}

export function react(place, ...figure) {
  place.querySelector(":scope > .still")?.remove();
  return Plotly.react(place, ...figure);
}
