// The preview beside a recipe form: fetched again as somebody types, and replaced part by part. While the recipe is
// invalid, the last curve and images stay, greyed out.

import { fetchText } from "./fetch_text.js";
import { drawLearningRate } from "./learning_rate_chart.js";
import { isPlotlyLoaded, onFirstChartUse } from "./load_plotly.js";

const PAUSE_MS = 250; // without typing, before a request

export function enablePreview(panel) {
  let timer = null;
  let isLoading = false;
  let isStale = false;

  const refreshSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, PAUSE_MS);
  };
  document.addEventListener("input", ({ target }) => target.form?.id === "recipe" && refreshSoon());
  document.addEventListener("pitwall:form-updated", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(panel));
  onFirstChartUse(() => draw(panel));
  const skeleton = panel.querySelector("[data-skeleton]");
  if (skeleton) skeleton.hidden = false;
  if (panel.querySelector("[data-pending]")) refresh();

  async function refresh() {
    clearTimeout(timer);
    if (isLoading) return (isStale = true); // one request at a time; then the latest input
    isLoading = true;
    panel.setAttribute("aria-busy", "true");
    const form = document.getElementById("recipe");
    const response = await fetchText(panel.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (response?.ok) replaceParts(panel, response.text);
    isLoading = false;
    panel.removeAttribute("aria-busy");
    if (isStale) (isStale = false), refresh();
  }
}

function replaceParts(panel, text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  panel.toggleAttribute("data-stale", Boolean(page.querySelector("[data-invalid]")));
  for (const part of page.querySelectorAll("[data-part]")) {
    const old = panel.querySelector(`[data-part="${part.dataset.part}"]`);
    const scrolled = old?.querySelector(".grid")?.scrollLeft ?? 0;
    const isOpen = old?.querySelector("details")?.open;
    // the chart keeps its element: no flicker, and the zoom stays
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
  if (figure && place && isPlotlyLoaded()) drawLearningRate(place, JSON.parse(figure.textContent));
}
