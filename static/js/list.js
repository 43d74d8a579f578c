// Pages with tables of runs: rows redraw as their runs move, new runs appear on the first page.

import { keepBoxes } from "./boxes.js";
import { follow } from "./live.js";
import { isAnyWatched, keepNotices } from "./notices.js";
import { keepFragments } from "./fragments.js";
import { keepProgress } from "./progress.js";
import { keepQueue } from "./queue.js";
import { drawn, keepRows } from "./rows.js";
import { localTimes } from "./times.js";

localTimes();
keepFragments();
keepRows();
keepProgress();
keepNotices();
keepBoxes();
keepQueue();
follow(isAnyWatched);

const TOGETHER_MS = 60; // runs that were launched together arrive together: ask once
const fresh = new Set();

document.addEventListener("pitwall:status", ({ detail: run }) => {
  if (!("newRuns" in document.body.dataset) || document.querySelector("[data-fragment^='/fragments/now']")) return;
  if (fresh.has(run.id) || document.querySelector(`tr[data-run="${run.id}"]`)) return;
  const body = document.querySelector("[data-runs]");
  const newest = body?.querySelector("tr[data-run]");
  if (newest && run.id < Number(newest.dataset.run)) return; // an old one, on a later page
  if (!body) return location.reload(); // the page said that there were none
  if (!fresh.size) setTimeout(() => show(body), TOGETHER_MS);
  fresh.add(run.id);
});

async function show(body) {
  const ids = [...fresh].sort((a, b) => b - a); // the newest first, as the list has them
  const rows = await drawn(body.closest("table"), ids);
  if (rows) body.prepend(rows);
  for (const id of ids) fresh.delete(id);
  if (fresh.size) show(body); // came meanwhile
}
