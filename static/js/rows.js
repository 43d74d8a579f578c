// Rows of tables of runs: those that moved are asked for together, soon after a change of status, and once in a while
// after epochs (bars and times move by themselves, progress.js). What was ticked stays so.

import { ask } from "./ask.js";
import { localTimes } from "./times.js";

const STATUS_MS = 60; // events of one commit arrive together
const EPOCH_MS = 3000; // an open list must not cost the server more than the runs do

const moved = new Set();
let timer = null;
let at = Infinity;

export function keepRows() {
  document.addEventListener("pitwall:status", ({ detail }) => soon(detail.id, STATUS_MS));
  document.addEventListener("pitwall:epoch", ({ detail }) => soon(detail.run, EPOCH_MS));
  document.addEventListener("pitwall:again", () => {
    document.querySelectorAll("tr[data-run]").forEach((row) => soon(row.dataset.run, STATUS_MS));
  });
  document.addEventListener("pitwall:deleted", ({ detail }) => rowsOf(detail.id).forEach((row) => row.remove()));
}

export async function drawn(table, ids) {
  const answer = await ask(`${table.dataset.rowsFrom}&ids=${ids.join(",")}`);
  if (!answer?.ok) return null;
  const made = document.createElement("template");
  made.innerHTML = answer.text.trim();
  localTimes(made.content);
  return made.content;
}

const rowsOf = (run, root = document) => root.querySelectorAll(`tr[data-run="${run}"]`);

function soon(run, wait) {
  if (!rowsOf(run).length) return;
  moved.add(String(run));
  if (performance.now() + wait >= at) return;
  clearTimeout(timer);
  at = performance.now() + wait;
  timer = setTimeout(redraw, wait);
}

async function redraw() {
  const runs = [...moved];
  moved.clear();
  at = -Infinity; // nothing more is asked until this is answered: an older answer must not win
  for (const table of document.querySelectorAll("[data-rows-from]")) {
    const ids = runs.filter((run) => rowsOf(run, table).length);
    const fresh = ids.length ? await drawn(table, ids) : null;
    for (const row of fresh ? [...fresh.children] : []) rowsOf(row.dataset.run, table).forEach((old) => swap(old, row));
  }
  at = Infinity;
  if (moved.size) soon([...moved][0], EPOCH_MS);
  document.dispatchEvent(new Event("pitwall:rows"));
}

function swap(old, row) {
  const [was, box] = [old, row].map((one) => one.querySelector("[name=runs]"));
  if (was && box) box.checked = was.checked;
  const focused = old.contains(document.activeElement) ? document.activeElement.tagName : null;
  old.replaceWith(row);
  if (focused) row.querySelector(focused)?.focus();
}
