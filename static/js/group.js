// The page of a group: its band grows while its runs train.

import { ask } from "./ask.js";
import { drawCurves } from "./curves.js";
import { follow } from "./live.js";
import { keepProgress } from "./progress.js";
import { keepRows } from "./rows.js";
import { isHere, plotly, whenHandled } from "./plotly.js";
import { localTimes } from "./times.js";

const TOGETHER_MS = 700; // runs that train side by side end their epochs together: draw once

localTimes();
keepRows();
keepProgress();

const place = document.querySelector("[data-numbers]");
let by = "epoch";
let due = null;

function draw() {
  const figure = place.querySelector("[data-figure]");
  if (!figure) return;
  const axis = place.querySelector("[data-axis]");
  axis.hidden = false;
  for (const button of axis.children) button.setAttribute("aria-pressed", button.dataset.by === by);
  if (isHere()) drawCurves(place.querySelector("[data-plot]"), JSON.parse(figure.textContent), by);
}

async function refresh() {
  due = null;
  const answer = await ask(place.dataset.numbers + location.search);
  if (!answer?.ok) return;
  const drawn = new DOMParser().parseFromString(answer.text, "text/html").body;
  const [old, fresh] = [place, drawn].map((root) => root.querySelector("[data-plot]"));
  if (old?.matches(".js-plotly-plot") && fresh) fresh.replaceWith(old); // the same chart: a zoom stays
  const box = place.querySelector(".scroll");
  const [top, left] = [box?.scrollTop ?? 0, box?.scrollLeft ?? 0];
  const pressed = place.contains(document.activeElement) ? document.activeElement.dataset.by : null;
  place.replaceChildren(...drawn.childNodes);
  draw();
  place.querySelector(".scroll")?.scrollTo(left, top); // the reader stays where they were
  if (pressed) place.querySelector(`[data-by="${pressed}"]`)?.focus();
}

const mine = (run) => document.querySelector(`tr[data-run="${run}"]`);
for (const kind of ["epoch", "status"]) {
  document.addEventListener(`pitwall:${kind}`, ({ detail }) => {
    if (mine(detail.run ?? detail.id)) due ??= setTimeout(refresh, TOGETHER_MS);
  });
}
document.addEventListener("pitwall:again", () => (due ??= setTimeout(refresh, 0)));
place.addEventListener("click", ({ target }) => target.dataset.by && plotly(() => ((by = target.dataset.by), draw())));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
whenHandled(draw);
follow();
