// The page of one run: charts, log, progress, and a sentence for screen readers.

import { follow } from "./live.js";
import { isAnyWatched, keepNotices } from "./notices.js";
import { keepCopies } from "./copy.js";
import { keepFragments, redraw } from "./fragments.js";
import { keepLog } from "./log.js";
import { keepProgress } from "./progress.js";
import { Charts } from "./charts.js";
import { localTimes } from "./times.js";
import { plotly } from "./plotly.js";
import { keepTry } from "./try.js";

const SAY_EVERY_MS = 5000;

localTimes();
keepFragments();
keepProgress();
keepNotices();
keepCopies();
keepTry();
keepLog(document.querySelector("[data-log]"));

const root = document.querySelector("[data-charts]"); // not there where a run ended before its first epoch
if (root) watchCurves(root);
document.addEventListener("pitwall:epoch", ({ detail: row }) => say(row));
document.addEventListener("pitwall:deleted", () => (location.href = "/runs"));

// What costs the server something is drawn when somebody opens it.
document.addEventListener("toggle", ({ target }) => {
  const part = target.open && target.querySelector("[data-lazy]:not([data-fragment])");
  if (!part) return;
  part.dataset.fragment = part.dataset.lazy;
  part.append(Object.assign(document.createElement("div"), { className: "skeleton", role: "status", ariaLabel: "On its way" }));
  redraw(part).finally(() => part.querySelector(":scope > .skeleton")?.remove());
}, true);

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

function watchCurves(root) {
  const json = (selector) => JSON.parse(document.querySelector(selector).textContent);
  const { images, steps } = root.dataset;
  const charts = new Charts(root, json("[data-figures]"), json("[data-rows]"), { images: Number(images), steps: Number(steps) });
  document.addEventListener("pitwall:epoch", ({ detail: row }) => charts.add(row));
  const axis = document.querySelector("[data-axis]");
  axis.hidden = false;
  axis.addEventListener("click", ({ target }) => {
    if (!target.dataset.by) return;
    plotly(() => {
      for (const button of axis.children) button.setAttribute("aria-pressed", button === target);
      charts.show({ by: target.dataset.by });
    });
  });
  const tools = document.querySelector("[data-chart-tools]");
  tools.hidden = false;
  tools.querySelector("[type=range]").addEventListener("input", ({ target }) => charts.show({ smooth: Number(target.value) }));
  tools.querySelector("[type=checkbox]").addEventListener("change", ({ target }) => charts.show({ isLog: target.checked }));
  document.addEventListener("pitwall:started", ({ detail }) => {
    charts.show({ images: detail.train_images, steps: detail.steps_per_epoch });
  });
}

let saidAt = 0;
function say(row) {
  if (Date.now() - saidAt < SAY_EVERY_MS) return;
  saidAt = Date.now();
  const counted = row.tta_accuracy ?? row.val_accuracy;
  const accuracy = counted == null ? "unknown" : `${(counted * 100).toFixed(2)} %`;
  document.querySelector("[data-say]").textContent = `Epoch ${row.epoch}: validation accuracy ${accuracy}`;
}

follow(isAnyWatched);
