// Pages with tables of runs: rows redraw as their runs move, new runs appear on the first page.

import { ask } from "./ask.js";
import { follow } from "./live.js";
import { keepFragments } from "./fragments.js";
import { keepProgress } from "./progress.js";
import { localTimes } from "./times.js";

localTimes();
keepFragments();
keepProgress();
follow();

document.addEventListener("pitwall:deleted", ({ detail }) => {
  document.querySelectorAll(`tr[data-run="${detail.id}"]`).forEach((row) => row.remove());
});

const body = document.querySelector("[data-runs]");
const seen = new Set();

document.addEventListener("pitwall:status", async ({ detail: run }) => {
  if (!("newRuns" in document.body.dataset) || document.querySelector("[data-fragment='/fragments/now']")) return;
  if (seen.has(run.id) || document.querySelector(`tr[data-run="${run.id}"]`)) return;
  const newest = body?.querySelector("tr[data-run]");
  if (newest && run.id < Number(newest.dataset.run)) return; // an old one, on a later page
  seen.add(run.id);
  if (!body) return location.reload(); // the page said that there were none
  const answer = await ask(`/runs/${run.id}/row`);
  if (!answer?.ok) return;
  const drawn = document.createElement("template");
  drawn.innerHTML = answer.text.trim();
  localTimes(drawn.content);
  body.prepend(drawn.content);
});
