// The page of one run: charts, log, progress, and announcements for screen readers.

import { openEventStream } from "./event_stream.js";
import { enableNotifications, isAnyRunWatched } from "./browser_notifications.js";
import { enableConfirmation } from "./confirm_submit.js";
import { enableCopyButtons } from "./copy_to_clipboard.js";
import { enableLiveFragments, refreshFragment } from "./live_fragments.js";
import { enableLogViewer } from "./log_viewer.js";
import { enableProgress } from "./progress_bars.js";
import { RunCharts } from "./run_charts.js";
import { localizeTimes } from "./local_times.js";
import { withPlotly } from "./load_plotly.js";
import { enableTryModel } from "./try_model.js";

const ANNOUNCE_EVERY_MS = 5000;

localizeTimes();
enableLiveFragments();
enableProgress();
enableNotifications();
enableCopyButtons();
enableTryModel();
enableConfirmation();
enableLogViewer(document.querySelector("[data-log]"));

const root = document.querySelector("[data-charts]"); // absent if the run ended before its first epoch
if (root) enableCharts(root);
document.addEventListener("pitwall:epoch", ({ detail: row }) => announce(row));
document.addEventListener("pitwall:deleted", () => (location.href = "/runs"));

// Sections that are expensive for the server load when somebody opens them.
document.addEventListener("toggle", ({ target }) => {
  const part = target.open && target.querySelector("[data-lazy]:not([data-fragment])");
  if (!part) return;
  part.dataset.fragment = part.dataset.lazy;
  part.append(Object.assign(document.createElement("div"), { className: "skeleton", role: "status", ariaLabel: "Loading" }));
  refreshFragment(part).finally(() => part.querySelector(":scope > .skeleton")?.remove());
}, true);

function enableCharts(root) {
  const json = (selector) => JSON.parse(document.querySelector(selector).textContent);
  const { images, steps } = root.dataset;
  const charts = new RunCharts(root, json("[data-figures]"), json("[data-rows]"), { images: Number(images), steps: Number(steps) });
  document.addEventListener("pitwall:epoch", ({ detail: row }) => charts.add(row));
  const axis = document.querySelector("[data-axis]");
  axis.hidden = false;
  axis.addEventListener("click", ({ target }) => {
    if (!target.dataset.by) return;
    withPlotly(() => {
      for (const button of axis.children) button.setAttribute("aria-pressed", button === target);
      charts.show({ by: target.dataset.by });
    });
  });
  const tools = document.querySelector("[data-chart-tools]");
  tools.hidden = false;
  tools.querySelector("[type=range]").addEventListener("input", ({ target }) => charts.show({ smooth: Number(target.value) }));
  tools.querySelector("[type=checkbox]").addEventListener("change", ({ target }) => charts.show({ isLog: target.checked }));
  document.addEventListener("pitwall:started", ({ detail }) => {
    charts.show({ images: detail.images_per_epoch, steps: detail.steps_per_epoch });
  });
}

let announcedAt = 0;
function announce(row) {
  if (Date.now() - announcedAt < ANNOUNCE_EVERY_MS) return;
  announcedAt = Date.now();
  const share = row.tta_accuracy ?? row.val_accuracy;
  const accuracy = share == null ? "unknown" : `${(share * 100).toFixed(2)} %`;
  document.querySelector("[data-announcement]").textContent = `Epoch ${row.epoch}: validation accuracy ${accuracy}`;
}

openEventStream(isAnyRunWatched);
