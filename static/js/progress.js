// `step` events move progress bars and the time that is left, wherever on the page the run is shown.

import { duration } from "./times.js";

export function keepProgress() {
  document.addEventListener("pitwall:step", ({ detail: step }) => {
    for (const place of document.querySelectorAll(`[data-progress-of="${step.run}"]`)) {
      place.querySelector("progress").value = step.progress;
    }
    for (const place of document.querySelectorAll(`[data-eta-of="${step.run}"]`)) {
      place.textContent = duration(step.eta_seconds);
    }
    for (const place of document.querySelectorAll(`[data-elapsed-of="${step.run}"]`)) {
      place.textContent = duration(step.elapsed_seconds);
    }
    if (document.body.dataset.runPage !== String(step.run)) return;
    const phase = document.querySelector("[data-phase]");
    if (phase) phase.textContent = step.words;
    const speed = document.querySelector("[data-speed]");
    if (speed && step.images_per_second) {
      speed.textContent = `${Math.round(step.images_per_second).toLocaleString("en")}`;
      speed.append(Object.assign(document.createElement("span"), { className: "sub", textContent: "pictures/s" }));
    }
  });
}
