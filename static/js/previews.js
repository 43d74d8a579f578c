// The panel beside a recipe form: asks for it again as somebody types, and swaps its parts in. A recipe that is not
// one yet leaves the last curve and pictures standing, greyed.

import { ask } from "./ask.js";
import { drawCurve } from "./curve.js";
import { isHere, whenHandled } from "./plotly.js";

const PAUSE_MS = 250; // of typing, before it is worth asking

export function keepPreviews(panel) {
  let due = null;
  let isAsking = false;
  let isStale = false;

  const later = () => {
    clearTimeout(due);
    due = setTimeout(refresh, PAUSE_MS);
  };
  document.addEventListener("input", ({ target }) => target.form?.id === "recipe" && later());
  document.addEventListener("pitwall:reshaped", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(panel));
  whenHandled(() => draw(panel));
  const drawing = panel.querySelector("[data-drawing]");
  if (drawing) drawing.hidden = false;
  if (panel.querySelector("[data-waiting]")) refresh();

  async function refresh() {
    clearTimeout(due);
    if (isAsking) return (isStale = true); // one question at a time: the last one counts
    isAsking = true;
    panel.setAttribute("aria-busy", "true");
    const form = document.getElementById("recipe");
    const answer = await ask(panel.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (answer?.ok) swap(panel, answer.text);
    isAsking = false;
    panel.removeAttribute("aria-busy");
    if (isStale) (isStale = false), refresh();
  }
}

function swap(panel, text) {
  const drawn = new DOMParser().parseFromString(text, "text/html");
  panel.toggleAttribute("data-stale", Boolean(drawn.querySelector("[data-wrong]")));
  for (const part of drawn.querySelectorAll("[data-part]")) {
    const old = panel.querySelector(`[data-part="${part.dataset.part}"]`);
    const scrolled = old?.querySelector(".grid")?.scrollLeft ?? 0;
    const isOpen = old?.querySelector("details")?.open;
    // the chart goes on in its own element: no flicker, and its zoom stays
    const chart = old?.querySelector("[data-curve].js-plotly-plot");
    if (chart) part.querySelector("[data-curve]")?.replaceWith(chart);
    const fresh = document.adoptNode(part);
    if (old) old.replaceWith(fresh);
    else panel.insertBefore(fresh, panel.querySelector(":scope > button"));
    fresh.querySelector(".grid")?.scrollTo(scrolled, 0);
    if (isOpen) fresh.querySelector("details").open = true;
  }
  draw(panel);
}

function draw(panel) {
  const figure = panel.querySelector("[data-figure]");
  const place = panel.querySelector("[data-curve]");
  if (figure && place && isHere()) drawCurve(place, JSON.parse(figure.textContent));
}
