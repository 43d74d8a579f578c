// Pages with tables of runs: rows redraw as their runs move, new runs appear on the first page.

import { keepBoxes } from "./boxes.js";
import { follow } from "./live.js";
import { keepFragments } from "./fragments.js";
import { keepProgress } from "./progress.js";
import { drawn, keepRows } from "./rows.js";
import { localTimes } from "./times.js";

localTimes();
keepFragments();
keepRows();
keepProgress();
keepBoxes();
follow();

const seen = new Set();

document.addEventListener("pitwall:status", async ({ detail: run }) => {
  if (!("newRuns" in document.body.dataset) || document.querySelector("[data-fragment='/fragments/now']")) return;
  if (seen.has(run.id) || document.querySelector(`tr[data-run="${run.id}"]`)) return;
  const body = document.querySelector("[data-runs]");
  const newest = body?.querySelector("tr[data-run]");
  if (newest && run.id < Number(newest.dataset.run)) return; // an old one, on a later page
  seen.add(run.id);
  if (!body) return location.reload(); // the page said that there were none
  const row = await drawn(body.closest("table"), [run.id]);
  if (row) body.prepend(row);
});
