// Queued runs are reordered by drag and drop. Buttons beside them do the same without a mouse.

import { fetchText } from "./fetch_text.js";

export function enableQueueReordering() {
  let dragged = null;
  const queuedItem = (target) => target.closest?.("[data-queue] > li[data-status=queued]");
  document.addEventListener("pointerdown", ({ target }) => {
    const row = queuedItem(target);
    if (row) row.draggable = !target.closest("button, a"); // these are clicked, not dragged
  });
  document.addEventListener("dragstart", (event) => {
    dragged = queuedItem(event.target);
    if (dragged) event.dataTransfer.effectAllowed = "move";
  });
  document.addEventListener("dragover", (event) => {
    const over = queuedItem(event.target);
    if (!dragged || !over || over === dragged) return;
    event.preventDefault();
    const { top, height } = over.getBoundingClientRect();
    over[event.clientY < top + height / 2 ? "before" : "after"](dragged);
  });
  document.addEventListener("drop", (event) => dragged && event.preventDefault());
  document.addEventListener("dragend", async () => {
    if (!dragged) return;
    const next = dragged.nextElementSibling;
    const before = next?.dataset.status === "queued" ? next.dataset.run : "";
    await fetchText(`/runs/${dragged.dataset.run}/move`, { method: "POST", redirect: "manual", body: new URLSearchParams({ before }) });
    dragged = null;
  });
}
