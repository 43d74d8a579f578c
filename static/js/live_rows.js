// Rows of tables of runs. Rows whose runs changed are fetched in one request, soon after a change of status and less often
// after epochs (bars and times update by themselves: progress_bars.js). New runs appear at the top of the first page.
// Selected checkboxes stay selected.

import { fetchText } from "./fetch_text.js";
import { localizeTimes } from "./local_times.js";

const STATUS_MS = 60; // events of one commit arrive together
const EPOCH_MS = 3000; // an open list must not cost the server more than the runs do

const changed = new Set(); // ids of runs whose rows are out of date
const added = new Set(); // ids of runs that have no row yet
let timer = null;
let dueAt = Infinity;

export function enableLiveRows() {
  document.addEventListener("pitwall:status", ({ detail }) => refreshSoon(detail.id, STATUS_MS));
  document.addEventListener("pitwall:epoch", ({ detail }) => refreshSoon(detail.run, EPOCH_MS));
  document.addEventListener("pitwall:reconnected", () => {
    document.querySelectorAll("tr[data-run]").forEach((row) => refreshSoon(row.dataset.run, STATUS_MS));
  });
  document.addEventListener("pitwall:deleted", ({ detail }) => rowsOf(detail.id).forEach((row) => row.remove()));
}

export function enableNewRows() {
  document.addEventListener("pitwall:status", ({ detail: run }) => {
    if (!("newRuns" in document.body.dataset) || document.querySelector("[data-fragment^='/fragments/now']")) return;
    if (added.has(run.id) || rowsOf(run.id).length) return;
    const body = document.querySelector("[data-runs]");
    const newest = body?.querySelector("tr[data-run]");
    if (newest && run.id < Number(newest.dataset.run)) return; // an old one, on a later page
    if (!body) return location.reload(); // the page has no table while there are no runs
    if (!added.size) setTimeout(() => addRows(body), STATUS_MS);
    added.add(run.id);
  });
}

async function addRows(body) {
  const ids = [...added].sort((a, b) => b - a); // newest first, as in the list
  const rows = await fetchRows(body.closest("table"), ids);
  if (rows) body.prepend(rows);
  for (const id of ids) added.delete(id);
  if (added.size) addRows(body); // arrived in the meantime
}

async function fetchRows(table, ids) {
  const response = await fetchText(`${table.dataset.rowsFrom}&ids=${ids.join(",")}`);
  if (!response?.ok) return null;
  const template = document.createElement("template");
  template.innerHTML = response.text.trim();
  localizeTimes(template.content);
  return template.content;
}

const rowsOf = (run, root = document) => root.querySelectorAll(`tr[data-run="${run}"]`);

function refreshSoon(run, wait) {
  if (!rowsOf(run).length) return;
  changed.add(String(run));
  if (performance.now() + wait >= dueAt) return;
  clearTimeout(timer);
  dueAt = performance.now() + wait;
  timer = setTimeout(refreshRows, wait);
}

async function refreshRows() {
  const runs = [...changed];
  changed.clear();
  dueAt = -Infinity; // one request at a time: an older response must not overwrite a newer one
  for (const table of document.querySelectorAll("[data-rows-from]")) {
    const ids = runs.filter((run) => rowsOf(run, table).length);
    const fresh = ids.length ? await fetchRows(table, ids) : null;
    for (const row of fresh ? [...fresh.children] : []) rowsOf(row.dataset.run, table).forEach((old) => replaceRow(old, row));
  }
  dueAt = Infinity;
  if (changed.size) refreshSoon([...changed][0], EPOCH_MS);
  document.dispatchEvent(new Event("pitwall:rows-updated"));
}

function replaceRow(old, row) {
  const [before, box] = [old, row].map((one) => one.querySelector("[name=runs]"));
  if (before && box) box.checked = before.checked;
  const focused = old.contains(document.activeElement) ? document.activeElement.tagName : null;
  old.replaceWith(row);
  if (focused) row.querySelector(focused)?.focus();
}
