// Updates progress bars, ETA and elapsed time from `step` events, wherever the page shows the run.

import { formatDuration } from "./local_times.js";

export function enableProgress() {
  document.addEventListener("pitwall:step", ({ detail: step }) => {
    for (const place of document.querySelectorAll(`[data-progress-of="${step.run}"]`)) {
      place.querySelector("progress").value = step.progress;
    }
    for (const place of document.querySelectorAll(`[data-eta-of="${step.run}"]`)) {
      place.textContent = formatDuration(step.eta_seconds);
    }
    for (const place of document.querySelectorAll(`[data-elapsed-of="${step.run}"]`)) {
      place.textContent = formatDuration(step.elapsed_seconds);
    }
    if (document.body.dataset.runPage !== String(step.run)) return;
    const phase = document.querySelector("[data-phase]");
    if (phase) phase.textContent = step.words;
    const speed = document.querySelector("[data-speed]");
    if (speed && step.images_per_second) {
      speed.textContent = `${Math.round(step.images_per_second).toLocaleString("en")}`;
      speed.append(Object.assign(document.createElement("span"), { className: "sub", textContent: "images/s" }));
    }
  });
}
