// The page of a group: its chart and numbers update while its runs train.

import { fetchText } from "./fetch_text.js";
import { drawCurves } from "./curve_chart.js";
import { openEventStream } from "./event_stream.js";
import { enableProgress } from "./progress_bars.js";
import { enableLiveRows } from "./live_rows.js";
import { isPlotlyLoaded, onFirstChartUse, withPlotly } from "./load_plotly.js";
import { localizeTimes } from "./local_times.js";

const DEBOUNCE_MS = 700; // runs that train side by side end their epochs together: fetch once

localizeTimes();
enableLiveRows();
enableProgress();

const place = document.querySelector("[data-group-results]");
let by = "epoch";
let timer = null;

function draw() {
  const figure = place.querySelector("[data-figure]");
  if (!figure) return;
  const axis = place.querySelector("[data-axis]");
  axis.hidden = false;
  for (const button of axis.children) button.setAttribute("aria-pressed", button.dataset.by === by);
  if (isPlotlyLoaded()) drawCurves(place.querySelector("[data-plot]"), JSON.parse(figure.textContent), { by });
}

async function refresh() {
  timer = null;
  const response = await fetchText(place.dataset.groupResults + location.search);
  if (!response?.ok) return;
  const body = new DOMParser().parseFromString(response.text, "text/html").body;
  const [old, fresh] = [place, body].map((root) => root.querySelector("[data-plot]"));
  if (old?.matches(".js-plotly-plot") && fresh) fresh.replaceWith(old); // keeps the chart and its zoom
  const box = place.querySelector(".scroll");
  const [top, left] = [box?.scrollTop ?? 0, box?.scrollLeft ?? 0];
  const pressed = place.contains(document.activeElement) ? document.activeElement.dataset.by : null;
  place.replaceChildren(...body.childNodes);
  draw();
  place.querySelector(".scroll")?.scrollTo(left, top); // keeps the scroll position
  if (pressed) place.querySelector(`[data-by="${pressed}"]`)?.focus();
}

const rowOf = (run) => document.querySelector(`tr[data-run="${run}"]`);
for (const kind of ["epoch", "status"]) {
  document.addEventListener(`pitwall:${kind}`, ({ detail }) => {
    if (rowOf(detail.run ?? detail.id)) timer ??= setTimeout(refresh, DEBOUNCE_MS);
  });
}
document.addEventListener("pitwall:reconnected", () => (timer ??= setTimeout(refresh, 0)));
place.addEventListener("click", ({ target }) => target.dataset.by && withPlotly(() => ((by = target.dataset.by), draw())));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
onFirstChartUse(draw);
openEventStream();
